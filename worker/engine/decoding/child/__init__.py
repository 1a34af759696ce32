"""What runs in the decoding child: it reads the file and writes messages. Nothing outside imports it but tests."""
