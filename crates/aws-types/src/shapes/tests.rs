//! The tables parse and refer to nothing that is not there.

use super::*;

#[test]
fn every_named_shape_is_in_its_table() {
    for name in SERVICES {
        let service = service(name).expect("a listed service has a table");
        for (operation_name, operation) in &service.operations {
            let named = operation.input.iter().chain(&operation.output).chain(&operation.errors);
            for shape in named {
                assert!(
                    service.find_shape(shape).is_some(),
                    "{name}.{operation_name} names {shape}"
                );
            }
        }
        for (shape_name, shape) in &service.shapes {
            let members = shape.members.0.iter().map(|(_, member)| member);
            for member in members.chain(&shape.member).chain(&shape.key).chain(&shape.value) {
                assert!(
                    service.find_shape(&member.shape).is_some(),
                    "{name}.{shape_name} names {}",
                    member.shape
                );
            }
            for required in &shape.required {
                assert!(
                    shape.members.0.iter().any(|(member, _)| member == required),
                    "{name}.{shape_name} requires {required}"
                );
            }
        }
    }
}

#[test]
fn eks_is_the_whole_service() {
    let eks = service("eks").expect("EKS has a table");
    assert!(eks.other_operations.is_empty());
    assert_eq!(&*eks.operations["CreateCluster"].uri, "/clusters");
    assert_eq!(eks.metadata.protocol, Protocol::RestJson);
    assert_eq!(
        eks.shape("ResourceInUseException")
            .error
            .as_ref()
            .and_then(|error| error.http_status_code),
        Some(409)
    );
}
