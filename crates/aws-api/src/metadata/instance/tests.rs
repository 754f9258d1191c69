//! Who is let in, by method, token and distance.

use http::HeaderMap;

use super::*;
use crate::metadata::facts::fixture::facts;

fn request(method: Method, path: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Request {
        from: [192, 168, 1, 10].into(),
        method,
        path: path.to_owned(),
        headers: map,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn tokens() -> Tokens {
    let mut tokens = Tokens::default();
    tokens.put("good".to_owned(), facts().id, at(60), at(0));
    tokens
}

#[track_caller]
fn check(facts: &Facts, asked: Request, expected: Admitted) {
    assert_eq!(admit(facts, &asked, &tokens(), at(10)), expected);
}

#[test]
fn a_token_is_made_by_put_with_a_life_of_up_to_six_hours() {
    let facts = facts();
    let put = |headers: &[(&'static str, &str)]| request(Method::PUT, TOKEN_PATH, headers);
    check(&facts, put(&[(SECONDS_HEADER, "21600")]), Admitted::Token(21_600));
    for wrong in ["0", "21601", "x"] {
        check(
            &facts,
            put(&[(SECONDS_HEADER, wrong)]),
            Admitted::Refused(StatusCode::BAD_REQUEST),
        );
    }
    check(&facts, put(&[]), Admitted::Refused(StatusCode::BAD_REQUEST));
    let forwarded = put(&[(SECONDS_HEADER, "60"), ("x-forwarded-for", "10.0.0.1")]);
    check(&facts, forwarded, Admitted::Refused(StatusCode::FORBIDDEN));
    check(
        &facts,
        request(Method::GET, TOKEN_PATH, &[]),
        Admitted::Refused(StatusCode::METHOD_NOT_ALLOWED),
    );
}

#[test]
fn a_path_is_shown_to_a_token_and_without_one_where_the_instance_lets_it() {
    let mut facts = facts();
    let path = "/latest/meta-data/instance-id";
    let get = |headers: &[(&'static str, &str)]| request(Method::GET, path, headers);
    check(&facts, get(&[(TOKEN_HEADER, "good")]), Admitted::Path(Some(50)));
    check(
        &facts,
        get(&[(TOKEN_HEADER, "other")]),
        Admitted::Refused(StatusCode::UNAUTHORIZED),
    );
    check(&facts, get(&[]), Admitted::Refused(StatusCode::UNAUTHORIZED));
    check(
        &facts,
        request(Method::POST, path, &[]),
        Admitted::Refused(StatusCode::METHOD_NOT_ALLOWED),
    );
    facts.options.tokens_required = false;
    check(&facts, get(&[]), Admitted::Path(None));
    check(
        &facts,
        get(&[(TOKEN_HEADER, "other")]),
        Admitted::Refused(StatusCode::UNAUTHORIZED),
    );
    facts.options.enabled = false;
    check(&facts, get(&[]), Admitted::Refused(StatusCode::FORBIDDEN));
}

#[test]
fn a_token_is_worth_nothing_to_another_instance_or_after_its_life() {
    let mut other = facts();
    other.id = InstanceId::new("i-0fedcba9876543210").unwrap();
    assert_eq!(tokens().left("good", &other.id, at(10)), None);
    assert_eq!(tokens().left("good", &facts().id, at(60)), None);
}
