//! Every row is an operation of the published model.

use super::*;

#[test]
fn every_row_is_in_the_model_and_only_once() {
    let rows: Vec<&Row> = all().collect();
    for (index, row) in rows.iter().enumerate() {
        let service = aws_types::shapes::service(row.service).expect("every row's service has a table");
        assert!(
            service.operations.contains_key(row.name),
            "{}.{} is not in the model",
            row.service,
            row.name
        );
        let again = rows[index + 1..]
            .iter()
            .any(|other| other.service == row.service && other.name == row.name);
        assert!(!again, "{}.{} is listed twice", row.service, row.name);
    }
}
