//! The price list: instances on demand, by the table of prices.

use aws_types::instance_type::{self, InstanceType};
use aws_types::price;
use serde_json::{Value, json};

use crate::catalogue;
use crate::ec2::filter;
use crate::error::ApiError;
use crate::members::Members;
use crate::operations::Context;

const EC2: &str = "AmazonEC2";

fn attributes(context: &Context, kind: &InstanceType) -> Value {
    json!({
        "instanceType": kind.name, "regionCode": context.region.name, "location": context.region.name, "locationType": "AWS Region",
        "servicecode": EC2, "servicename": "Amazon Elastic Compute Cloud", "operatingSystem": "Linux", "preInstalledSw": "NA",
        "capacitystatus": "Used", "marketoption": "OnDemand", "tenancy": "Shared", "licenseModel": "No License required",
        "operation": "RunInstances", "vcpu": kind.vcpus.to_string(), "memory": format!("{} GiB", kind.memory_mib as f64 / 1024.0),
        "currentGeneration": "Yes", "usagetype": format!("BoxUsage:{}", kind.name), "productFamily": "Compute Instance",
    })
}

/// A product as the price list writes it.
fn product(attributes: &Value, kind: &InstanceType) -> Value {
    let sku = format!("{:0>16}", kind.name.replace('.', "").to_uppercase());
    let (offer, rate) = (format!("{sku}.JRTCKXETXF"), format!("{sku}.JRTCKXETXF.6YS6EN2CT7"));
    let dollars = price::dollars(price::on_demand(kind));
    let mut shown = attributes.clone();
    if let Some(members) = shown.as_object_mut() {
        members.remove("productFamily");
    }
    json!({
        "product": {"productFamily": "Compute Instance", "attributes": shown, "sku": sku}, "serviceCode": EC2,
        "terms": {"OnDemand": {offer.as_str(): {
            "offerTermCode": "JRTCKXETXF", "sku": sku, "effectiveDate": "2026-11-01T00:00:00Z", "termAttributes": {},
            "priceDimensions": {rate.as_str(): {
                "unit": "Hrs", "beginRange": "0", "endRange": "Inf", "rateCode": rate, "appliesTo": [],
                "description": format!("${dollars} per On Demand Linux {} Instance Hour", kind.name),
                "pricePerUnit": {"USD": dollars},
            }},
        }}},
        "version": "20261101000000", "publicationDate": "2026-11-01T00:00:00Z",
    })
}

fn passes(input: &Value, attributes: &Value) -> bool {
    input.list("Filters").iter().all(|given| {
        let (field, value) = (given.required("Field"), given.required("Value"));
        let own = attributes.text(field);
        let mut listed = value.split(',').map(str::trim);
        match given.required("Type") {
            "CONTAINS" => own.is_some_and(|own| own.contains(value)),
            "ANY_OF" => own.is_some_and(|own| listed.any(|one| one == own)),
            "NONE_OF" => own.is_none_or(|own| listed.all(|one| one != own)),
            "EQUALS" => own == Some(value),
            _ => own.is_some_and(|own| filter::matches(value, own)),
        }
    })
}

fn paged(input: &Value, member: &str, views: Vec<Value>) -> Result<Value, ApiError> {
    let wrong = || {
        ApiError::bad_request(
            "InvalidNextTokenException",
            "The pagination token is invalid. Try again without a pagination token.",
        )
    };
    let (page, next) = catalogue::page(views, input.text("NextToken"), input.number("MaxResults"), 100, wrong)?;
    Ok(json!({member: page, "NextToken": next, "FormatVersion": "aws_v1"}))
}

/// `GetProducts`.
pub async fn products(context: Context, input: Value) -> Result<Value, ApiError> {
    let mut products = Vec::new();
    if input.text("ServiceCode") == Some(EC2) {
        for kind in instance_type::all() {
            let attributes = attributes(&context, kind);
            if passes(&input, &attributes) {
                products.push(Value::from(product(&attributes, kind).to_string()));
            }
        }
    }
    paged(&input, "PriceList", products)
}

/// `DescribeServices`.
pub async fn services(context: Context, input: Value) -> Result<Value, ApiError> {
    let asked = input.text("ServiceCode");
    if let Some(code) = asked.filter(|code| *code != EC2) {
        return Err(ApiError::bad_request(
            "InvalidParameterException",
            format!("Service code {code} is not known here"),
        ));
    }
    let sample = instance_type::all()
        .first()
        .map(|kind| attributes(&context, kind))
        .unwrap_or_default();
    let names: Vec<&String> = sample.as_object().into_iter().flatten().map(|(name, _)| name).collect();
    paged(
        &input,
        "Services",
        vec![json!({"ServiceCode": EC2, "AttributeNames": names})],
    )
}

/// `GetAttributeValues`.
pub async fn values(context: Context, input: Value) -> Result<Value, ApiError> {
    let name = input.required("AttributeName");
    let all = instance_type::all().iter().map(|kind| attributes(&context, kind));
    let values: std::collections::BTreeSet<String> = all.filter_map(|one| one.text(name).map(str::to_owned)).collect();
    let views = values.into_iter().map(|value| json!({"Value": value})).collect();
    let mut answer = paged(&input, "AttributeValues", views)?;
    if let Some(members) = answer.as_object_mut() {
        members.remove("FormatVersion");
    }
    Ok(answer)
}
