"""Medical imaging: COVID-19 on CT, MedNIST, and MONAI bundles."""
