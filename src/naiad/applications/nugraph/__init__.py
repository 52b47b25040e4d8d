"""NuGraph3: reconstruction of neutrino events in liquid-argon time-projection chambers."""
