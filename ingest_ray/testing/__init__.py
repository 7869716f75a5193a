"""For people who write strategies, sinks and stores: scripted parts, real servers, the behaviour suites."""
