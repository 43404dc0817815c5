use lentil_runtime::{FieldName, UserIdentity, Value};
use serde_json::{Map, Value as Json};

use super::provider::Kind;
use super::token::Claims;

/// OpenID Connect's claims that are texts, and what they are called in an identity.
const TEXTS: &[(&str, &str)] = &[
    ("name", "name"),
    ("given_name", "givenName"),
    ("family_name", "familyName"),
    ("nickname", "nickname"),
    ("preferred_username", "preferredUsername"),
    ("profile", "profileUrl"),
    ("picture", "pictureUrl"),
    ("website", "websiteUrl"),
    ("email", "email"),
    ("gender", "gender"),
    ("birthdate", "birthday"),
    ("zoneinfo", "timezone"),
    ("locale", "language"),
    ("phone_number", "phoneNumber"),
];
const TRUTHS: &[(&str, &str)] = &[
    ("email_verified", "emailVerified"),
    ("phone_number_verified", "phoneNumberVerified"),
];

/// Flattened claims may have longer names than in the token: this bounds the identity that a connection holds.
const MAX_FLATTENED_CLAIMS: usize = 1_024;

/// The user whom the claims describe. Claims whose names or values no document could hold are left out.
pub(super) fn identity(kind: Kind, claims: Claims) -> UserIdentity {
    let identity = UserIdentity::new(&claims.issuer, &claims.subject);
    match kind {
        Kind::Oidc => with_oidc(identity, claims.user),
        Kind::CustomJwt(_) => with_flattened(identity, "", claims.user),
    }
}

/// OpenID Connect's claims under Convex's names, all others under their own.
fn with_oidc(identity: UserIdentity, mut claims: Map<String, Json>) -> UserIdentity {
    let mut standard = Vec::new();
    for (claim, name) in TEXTS {
        standard.push((*name, claims.remove(*claim).filter(Json::is_string)));
    }
    for (claim, name) in TRUTHS {
        standard.push((*name, claims.remove(*claim).and_then(truth)));
    }
    standard.push(("address", claims.remove("address").and_then(address)));
    standard.push(("updatedAt", claims.remove("updated_at").and_then(moment)));
    let identity = claims
        .into_iter()
        .fold(identity, |identity, (name, claim)| {
            with(identity, &name, claim)
        });
    // They come last, for no other claim is to stand in for one of them.
    let standard = standard
        .into_iter()
        .filter_map(|(name, claim)| Some((name, claim?)));
    standard.fold(identity, |identity, (name, claim)| {
        with(identity, name, claim)
    })
}

/// Objects' fields as attributes of their own: `{"a": {"b": 1}}` is `a.b`. Those after the first
/// [`MAX_FLATTENED_CLAIMS`] are left out.
fn with_flattened(identity: UserIdentity, prefix: &str, claims: Map<String, Json>) -> UserIdentity {
    claims
        .into_iter()
        .fold(identity, |identity, (name, claim)| {
            let name = format!("{prefix}{name}");
            match claim {
                Json::Object(fields) => with_flattened(identity, &format!("{name}."), fields),
                _ if identity.attributes().len() >= MAX_FLATTENED_CLAIMS => identity,
                claim => with(identity, &name, claim),
            }
        })
}

fn with(identity: UserIdentity, name: &str, claim: Json) -> UserIdentity {
    match (FieldName::new(name.to_owned()), Value::from_json(claim)) {
        (Ok(_), Ok(value)) => identity.with(name, value).expect("the name is a field's"),
        _ => identity,
    }
}

/// Some providers write truths as texts.
fn truth(claim: Json) -> Option<Json> {
    match claim.as_str() {
        Some("true") => Some(Json::Bool(true)),
        Some("false") => Some(Json::Bool(false)),
        _ => Some(claim).filter(Json::is_boolean),
    }
}

/// OpenID Connect's address is an object with the whole of it in one field.
fn address(mut claim: Json) -> Option<Json> {
    let whole = if claim.is_object() {
        claim["formatted"].take()
    } else {
        claim
    };
    Some(whole).filter(Json::is_string)
}

/// A time in RFC 3339; OpenID Connect's are seconds since 1970, some providers' are texts already.
fn moment(claim: Json) -> Option<Json> {
    match claim.as_f64() {
        Some(seconds) => rfc3339(seconds).map(Json::String),
        None => Some(claim).filter(Json::is_string),
    }
}

/// Seconds since 1970 as text, down to the second, for the years 0 to 9999.
fn rfc3339(seconds: f64) -> Option<String> {
    if !(-62_167_219_200.0..253_402_300_800.0).contains(&seconds) {
        return None;
    }
    let seconds = seconds.floor() as i64;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years begin in March here, so that the leap day is a year's last; 400 of them have 146,097 days.
    let since_march_0 = days + 719_468;
    let (era, day) = (
        since_march_0.div_euclid(146_097),
        since_march_0.rem_euclid(146_097),
    );
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day + 2) / 153;
    let day = day - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+00:00"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_rfc_3339() {
        let cases = [
            (0.0, "1970-01-01T00:00:00+00:00"),
            (951_782_400.0, "2000-02-29T00:00:00+00:00"),
            (1_700_000_000.9, "2023-11-14T22:13:20+00:00"),
            (-1.0, "1969-12-31T23:59:59+00:00"),
            (4_107_542_399.0, "2100-02-28T23:59:59+00:00"),
            (4_107_542_400.0, "2100-03-01T00:00:00+00:00"),
            (-62_167_219_200.0, "0000-01-01T00:00:00+00:00"),
            (253_402_300_799.0, "9999-12-31T23:59:59+00:00"),
        ];
        for (seconds, text) in cases {
            assert_eq!(rfc3339(seconds).as_deref(), Some(text));
        }
        assert_eq!(rfc3339(1e300), None);
    }
}
