//! Roles are templates that say who may assume them and what they may do.

use super::*;

#[test]
fn the_role_of_a_service_account_trusts_its_token_only() {
    let mut role = Role::new(
        "Role1",
        "role of a/b",
        Trust::ServiceAccount {
            provider: "arn:aws:iam::1:oidc-provider/oidc.eks/id/X".to_owned(),
            issuer: "oidc.eks/id/X".to_owned(),
            account: "a:b".to_owned(),
        },
    );
    role.managed = vec![managed("ReadOnlyAccess")];
    role.well_known(&WellKnownPolicies {
        auto_scaler: Some(true),
        ..WellKnownPolicies::default()
    });
    let text = serde_json::to_string(&role.template()).unwrap();
    for part in [
        r#""oidc.eks/id/X:sub":"system:serviceaccount:a:b""#,
        r#""ManagedPolicyArns":["arn:aws:iam::aws:policy/ReadOnlyAccess"]"#,
        r#""PolicyAutoScaling":{"Type":"AWS::IAM::Policy""#,
        r#""Outputs":{"Role1":{"Value":{"Fn::GetAtt":"Role1.Arn"}}}"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn every_word_stands_for_permissions() {
    let on = Some(true);
    let mut role = Role::new("Role1", "", Trust::PodIdentity);
    role.addon_policies(&AddonPolicies {
        image_builder: on,
        auto_scaler: on,
        external_dns: on,
        cert_manager: on,
        app_mesh: on,
        app_mesh_preview: on,
        ebs: on,
        fsx: on,
        efs: on,
        aws_load_balancer_controller: on,
        alb_ingress: on,
        x_ray: on,
        cloud_watch: on,
    });
    assert_eq!((role.managed.len(), role.inline.len()), (3, 9));
    assert!(role.inline.iter().all(|(_, statements)| !statements.is_empty()));
}
