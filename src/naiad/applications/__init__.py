"""The applications that come with Naiad: guests, which use only what a user can use."""
