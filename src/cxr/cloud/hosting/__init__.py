"""The page of `cxr web build` on a bucket: planned, sent with its headers, public when that is confirmed, undone."""
