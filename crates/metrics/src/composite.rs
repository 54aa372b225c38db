//! Rules of composite alarms: `ALARM("a") AND (NOT OK(b) OR FALSE)`.
//!
//! Source: `https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html`.

use model::cloudwatch::AlarmState;

/// Alarms that one rule may name, and elements it may have.
const MAX_CHILDREN: usize = 100;
const MAX_ELEMENTS: usize = 500;
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    Always(bool),
    /// Name or ARN of an alarm, and the state asked for.
    Is(AlarmState, String),
    Not(Box<Rule>),
    And(Box<Rule>, Box<Rule>),
    Or(Box<Rule>, Box<Rule>),
}

impl Rule {
    pub fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        if tokens.len() > MAX_ELEMENTS * 4 {
            return Err(format!("it has more than {MAX_ELEMENTS} elements"));
        }
        let mut parser = Parser {
            tokens,
            at: 0,
            depth: 0,
        };
        let rule = parser.or()?;
        if let Some(token) = parser.next() {
            return Err(format!("'{token}' was not expected there"));
        }
        if rule.children().len() > MAX_CHILDREN {
            return Err(format!("it names more than {MAX_CHILDREN} alarms"));
        }
        Ok(rule)
    }

    /// Alarms that the rule names, each once, in order of their appearance.
    pub fn children(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.gather(&mut names);
        names
    }

    fn gather<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Always(_) => {}
            Self::Is(_, name) if names.contains(&name.as_str()) => {}
            Self::Is(_, name) => names.push(name),
            Self::Not(inner) => inner.gather(names),
            Self::And(a, b) | Self::Or(a, b) => {
                a.gather(names);
                b.gather(names);
            }
        }
    }

    /// `state` gives a child's; an alarm that is gone is in none.
    pub fn holds(&self, state: &dyn Fn(&str) -> Option<AlarmState>) -> bool {
        match self {
            Self::Always(truth) => *truth,
            Self::Is(wanted, name) => state(name) == Some(*wanted),
            Self::Not(inner) => !inner.holds(state),
            Self::And(a, b) => a.holds(state) && b.holds(state),
            Self::Or(a, b) => a.holds(state) || b.holds(state),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            _ if c.is_whitespace() => {}
            '(' | ')' => tokens.push(c.to_string()),
            '"' | '\'' => {
                // A quote at its head keeps a name apart from a word.
                let mut name = String::from('"');
                loop {
                    match rest.next() {
                        None => return Err("a quote is not closed".into()),
                        Some(end) if end == c => break,
                        Some('\\') => name.extend(rest.next()),
                        Some(c) => name.push(c),
                    }
                }
                tokens.push(name);
            }
            _ => {
                let mut word = String::from(c);
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"()\"".contains(*c)) {
                    word.push(c);
                }
                tokens.push(word);
            }
        }
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn next(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }
    fn takes(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|t| t == word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<Rule, String> {
        let mut left = self.and()?;
        while self.takes("OR") {
            left = Rule::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Rule, String> {
        let mut left = self.one()?;
        while self.takes("AND") {
            left = Rule::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Rule, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let word = self.next().ok_or("it ends where an alarm is expected")?;
        let rule = match word.as_str() {
            "NOT" => Rule::Not(Box::new(self.one()?)),
            "TRUE" => Rule::Always(true),
            "FALSE" => Rule::Always(false),
            "(" => {
                let inner = self.or()?;
                self.close()?;
                inner
            }
            "ALARM" => self.state(AlarmState::Alarm)?,
            "OK" => self.state(AlarmState::Ok)?,
            "INSUFFICIENT_DATA" => self.state(AlarmState::InsufficientData)?,
            other => return Err(format!("'{other}' is no function or operator of a rule")),
        };
        self.depth -= 1;
        Ok(rule)
    }

    fn state(&mut self, state: AlarmState) -> Result<Rule, String> {
        if !self.takes("(") {
            return Err(format!("{} wants an alarm in parentheses", state.name()));
        }
        // A name without quotes may have spaces inside.
        let mut name = self
            .next()
            .filter(|n| n != "(" && n != ")")
            .unwrap_or_default();
        if let Some(quoted) = name.strip_prefix('"') {
            name = quoted.to_owned();
        }
        if name.is_empty() {
            return Err(format!("{} wants the name of an alarm", state.name()));
        }
        self.close()?;
        Ok(Rule::Is(state, name))
    }

    fn close(&mut self) -> Result<(), String> {
        if self.takes(")") {
            return Ok(());
        }
        Err("a parenthesis is not closed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let state = |name: &str| match name {
            "a" => Some(AlarmState::Alarm),
            "o k" => Some(AlarmState::Ok),
            "i" => Some(AlarmState::InsufficientData),
            _ => None,
        };
        let check = |text: &str, expected: bool| {
            let rule = Rule::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(rule.holds(&state), expected, "{text}");
        };
        check("TRUE", true);
        check("FALSE", false);
        check("ALARM(a)", true);
        check("ALARM(\"a\")", true);
        check("ALARM('a')", true);
        check("OK(\"o k\") AND INSUFFICIENT_DATA(i)", true);
        check("OK(a)", false);
        check("NOT OK(a)", true);
        check("ALARM(gone) OR OK(gone)", false);
        check("TRUE OR TRUE AND FALSE", true);
        check("(TRUE OR TRUE) AND FALSE", false);
        check("NOT (ALARM(a) AND ALARM(i))", true);
        assert_eq!(
            Rule::parse("ALARM(a) AND (OK(b) OR OK(a))")
                .unwrap()
                .children(),
            ["a", "b"]
        );
    }

    #[test]
    fn what_is_no_rule() {
        for bad in [
            "",
            "ALARM",
            "ALARM()",
            "ALARM(a",
            "ALARM(a) OK(b)",
            "AND",
            "ALARM(a) AND",
            "FOO(a)",
            "(TRUE",
            "TRUE)",
            "ALARM(\"a)",
            "ALARM(())",
            &"(".repeat(10_000),
            &"NOT ".repeat(1000),
        ] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }
}
