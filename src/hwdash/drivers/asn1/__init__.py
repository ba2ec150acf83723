"""DER, written by hand where no library writes what Windows expects."""
