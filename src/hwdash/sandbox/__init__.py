"""What turns the service into a rehearsal stage: scenarios, a movable clock, an inspector of every request."""
