//! Columns of services.
use super::Printer;
/// Columns.
pub static ENDPOINTS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static ENDPOINT_SLICES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static INGRESSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static INGRESS_CLASSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static IP_ADDRESSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static NETWORK_POLICIES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static SERVICES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static SERVICE_CIDRS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
