"""What benchmarks/upload.py needs: servers, peers (installed into a cache of their own), clients run one by one."""
