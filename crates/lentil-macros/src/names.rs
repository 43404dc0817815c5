/// `job_id` is `jobId`: what the field is called outside Rust.
pub(crate) fn camel_case(name: &str) -> String {
    let name = name.strip_prefix("r#").unwrap_or(name);
    let mut parts = name.split('_');
    let mut camel = parts
        .by_ref()
        .find(|part| !part.is_empty())
        .unwrap_or_default()
        .to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// `InProgress` is `inProgress`: what a variant's literal is.
pub(crate) fn variant_name(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .map(|first| first.to_ascii_lowercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// `by_jobId` is `BY_JOB_ID`: the constant of an index.
pub(crate) fn constant_name(name: &str) -> String {
    let mut constant = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && after_lower {
            constant.push('_');
        }
        constant.push(letter.to_ascii_uppercase());
        after_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    constant
}

/// The nearest of `known` to a name that is not among them, when one is near.
pub(crate) fn nearest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let scored = known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate.as_str()));
    scored
        .min()
        .filter(|(distance, _)| *distance <= name.len().div_ceil(3))
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or change to make one name the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_their_case() {
        assert_eq!(camel_case("job_id"), "jobId");
        assert_eq!(camel_case("r#type"), "type");
        assert_eq!(camel_case("created_at_ms"), "createdAtMs");
        assert_eq!(variant_name("InProgress"), "inProgress");
        assert_eq!(constant_name("by_jobId"), "BY_JOB_ID");
        assert_eq!(
            constant_name("by_status_and_createdAt"),
            "BY_STATUS_AND_CREATED_AT"
        );
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["idea", "job_id", "status"].map(str::to_owned);
        assert_eq!(nearest("job_idd", &known), Some("job_id"));
        assert_eq!(nearest("zzz", &known), None);
    }
}
