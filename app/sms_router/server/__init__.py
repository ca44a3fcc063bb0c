"""What runs the ASGI application: uvicorn's protocol with bounds, worker processes, signals."""
