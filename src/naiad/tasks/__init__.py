"""Tasks: data of people's to requests, and answers to results, tables and pictures."""
