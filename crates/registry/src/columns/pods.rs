//! Columns of pods.
use super::Printer;
/// Columns.
pub static PODS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
