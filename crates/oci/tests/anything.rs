//! Whatever clients send: nothing panics, and no name or id leads out of its directory.

use oci::{Digest, Key, Summary, TagRule, UploadId, valid_name, valid_tag};
use proptest::prelude::*;

proptest! {
    #[test]
    fn names_stay_inside(text in "[a-z0-9./_-]{0,12}|.*") {
        let inside = |text: &str| text.split('/').all(|part| !matches!(part, "" | "." | ".."));
        prop_assert!(!valid_name(&text) || inside(&text) && !text.contains('\\'));
        prop_assert!(!valid_tag(&text) || !text.contains('/'));
        prop_assert!(UploadId::parse(&text).is_none_or(|id| !id.as_str().contains(['/', '.'])));
        prop_assert!(Digest::parse(&text).is_none_or(|digest| digest.hex().len() == 64));
    }

    #[test]
    fn manifests_are_read_or_refused(text in r#"[{}\[\]",:a-z0-9]{0,60}|.*"#, kind in ".*") {
        let _ = Summary::of(text.as_bytes(), Some(&kind));
    }

    #[test]
    fn a_pattern_of_a_text_matches_it(text in ".{1,20}", at in 0..20usize) {
        let starred: String = text.chars().enumerate().map(|(n, c)| if n == at { '*' } else { c }).collect();
        prop_assert!(oci::matches(&starred, &text));
        let rule = TagRule { immutable: true, except: vec![starred] };
        prop_assert!(!rule.fixes(&text));
    }

    #[test]
    fn only_what_was_issued_opens(text in ".*") {
        let path = std::env::temp_dir().join(format!("oci-key-{}", std::process::id()));
        let key = Key::ensure(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        prop_assert!(key.verify(&text, 0).is_err());
    }
}
