//! A gauge that counts something for as long as it lasts.

use prometheus_client::metrics::gauge::Gauge;

/// One more, until it is dropped.
pub(super) struct Running(Gauge);

impl Running {
    pub(super) fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}
