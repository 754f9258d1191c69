//! Columns of storage.
use super::Printer;
/// Columns.
pub static CSI_DRIVERS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static CSI_NODES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static CSI_STORAGE_CAPACITIES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static PERSISTENT_VOLUMES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static PERSISTENT_VOLUME_CLAIMS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static PRIORITY_CLASSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static RUNTIME_CLASSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static STORAGE_CLASSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static VOLUME_ATTACHMENTS: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
/// Columns.
pub static VOLUME_ATTRIBUTES_CLASSES: Printer = Printer {
    columns: super::AGE_ONLY.columns,
    cells: |o, n| vec![super::name(o), super::age(o, n)],
};
