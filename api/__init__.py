"""The HTTP front. It stores jobs and reads them; recognition happens elsewhere."""
