use data_encoding::BASE64_NOPAD;
use percent_encoding::percent_decode_str;

/// Decodes the data of a `data:` URL (RFC 2397). Returns `None` if it is malformed.
pub(super) fn decode(url: &str) -> Option<Vec<u8>> {
    let (media_type, data) = url.strip_prefix("data:")?.split_once(',')?;
    let data: Vec<u8> = percent_decode_str(data).collect();
    if !media_type.ends_with(";base64") {
        return Some(data);
    }
    // The padding is stripped, because some URLs omit it.
    let mut unpadded = &data[..];
    while let Some(rest) = unpadded.strip_suffix(b"=") {
        unpadded = rest;
    }
    BASE64_NOPAD.decode(unpadded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_percent_encoded_or_base64() {
        let decoded = |url| decode(url).map(|data| String::from_utf8(data).unwrap());
        let some = Some("{\"keys\":[]}".to_owned());
        assert_eq!(decoded("data:application/json,{%22keys%22:[]}"), some);
        assert_eq!(
            decoded("data:text/plain;charset=utf-8;base64,eyJrZXlzIjpbXX0="),
            some
        );
        assert_eq!(decoded("data:;base64,eyJrZXlzIjpbXX0%3D"), some);
        assert_eq!(decoded("data:;base64,eyJrZXlzIjpbXX0"), some);
        assert_eq!(decoded("data:,"), Some(String::new()));
        for malformed in [
            "data:",
            "data:;base64",
            "data:;base64,e",
            "data:;base64,{}",
            "https://a,b",
        ] {
            assert_eq!(decode(malformed), None, "{malformed}");
        }
    }
}
