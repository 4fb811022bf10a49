//! Headwater in a world of its own: the real library over simulated services and simulated time. One seed is one run.
