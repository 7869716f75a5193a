"""Where instructions are performed: `inline` in the calling process, in `threads` of it, or on `ray`."""
