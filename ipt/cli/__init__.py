"""The command line: click commands, one small file each, and rich for what people see."""
