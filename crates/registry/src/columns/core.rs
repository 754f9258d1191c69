//! Columns of core.
use super::Printer;
/// Columns.
pub static CERTIFICATE_SIGNING_REQUESTS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static CONFIG_MAPS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static CREATED_AT: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static LEASES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static NAMESPACES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static POD_DISRUPTION_BUDGETS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static RESOURCE_QUOTAS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static ROLE_BINDINGS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static SECRETS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static SERVICE_ACCOUNTS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
