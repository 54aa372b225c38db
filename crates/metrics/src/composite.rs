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
    /// `AT_LEAST(2, NOT OK, (a, b, c))`
    AtLeast {
        least: Least,
        not: bool,
        state: AlarmState,
        of: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Least {
    Count(usize),
    /// Of those that are named; a part of one counts as one.
    Percent(usize),
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
            Self::AtLeast { of, .. } => {
                for name in of {
                    if !names.contains(&name.as_str()) {
                        names.push(name);
                    }
                }
            }
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
            Self::AtLeast {
                least,
                not,
                state: wanted,
                of,
            } => {
                let least = match least {
                    Least::Count(n) => *n,
                    Least::Percent(p) => (of.len() * p).div_ceil(100),
                };
                let fits =
                    |name: &&String| state(name).is_some_and(|found| (found == *wanted) != *not);
                least <= of.iter().filter(fits).count()
            }
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
            '(' | ')' | ',' => tokens.push(c.to_string()),
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
                while let Some(c) = rest.next_if(|c| !c.is_whitespace() && !"(),\"".contains(*c)) {
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
            "AT_LEAST" => self.at_least()?,
            other => return Err(format!("'{other}' is no function or operator of a rule")),
        };
        self.depth -= 1;
        Ok(rule)
    }

    fn state(&mut self, state: AlarmState) -> Result<Rule, String> {
        if !self.takes("(") {
            return Err(format!("{} wants an alarm in parentheses", state.name()));
        }
        let name = self.name(state.name())?;
        self.close()?;
        Ok(Rule::Is(state, name))
    }

    fn name(&mut self, of: &str) -> Result<String, String> {
        let token = self
            .next()
            .filter(|n| !matches!(n.as_str(), "(" | ")" | ","));
        let name = token.unwrap_or_default();
        let name = name.strip_prefix('"').unwrap_or(&name);
        if name.is_empty() {
            return Err(format!("{of} wants the name of an alarm"));
        }
        Ok(name.to_owned())
    }

    /// `(2, NOT OK, (a, b))`, of which the number may be a percentage, also in quotes.
    fn at_least(&mut self) -> Result<Rule, String> {
        const FORM: &str = "AT_LEAST wants a number or a percentage, a state and alarms: AT_LEAST(2, ALARM, (a, b, c))";
        let expect = |found: bool| if found { Ok(()) } else { Err(FORM.to_owned()) };
        expect(self.takes("("))?;
        let number = self.next().unwrap_or_default();
        let number = number.strip_prefix('"').unwrap_or(&number);
        let (digits, percent) = match number.strip_suffix('%') {
            Some(digits) => (digits, true),
            None => (number, false),
        };
        let number: usize = digits.parse().map_err(|_| FORM)?;
        expect(self.takes(","))?;
        let not = self.takes("NOT");
        let state = match self.next().as_deref() {
            Some("ALARM") => AlarmState::Alarm,
            Some("OK") => AlarmState::Ok,
            Some("INSUFFICIENT_DATA") => AlarmState::InsufficientData,
            _ => return Err(FORM.into()),
        };
        expect(self.takes(",") && self.takes("("))?;
        let mut of = vec![self.name("AT_LEAST")?];
        while self.takes(",") {
            of.push(self.name("AT_LEAST")?);
        }
        self.close()?;
        self.close()?;
        let most = if percent { 100 } else { of.len() };
        if !(1..=most).contains(&number) {
            return Err(format!("AT_LEAST wants a number from 1 to {most}"));
        }
        let least = if percent {
            Least::Percent(number)
        } else {
            Least::Count(number)
        };
        Ok(Rule::AtLeast {
            least,
            not,
            state,
            of,
        })
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
        check("AT_LEAST(1, ALARM, (a, i))", true);
        check("AT_LEAST(2, ALARM, (a, i))", false);
        check("AT_LEAST(2, NOT ALARM, (a,\"o k\",'i'))", true);
        check("AT_LEAST(50%, OK, (a, \"o k\"))", true);
        check("AT_LEAST(\"51%\", OK, (a, \"o k\"))", false);
        check("AT_LEAST(1, NOT ALARM, (gone)) OR FALSE", false);
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
            "AT_LEAST(0, ALARM, (a))",
            "AT_LEAST(2, ALARM, (a))",
            "AT_LEAST(101%, ALARM, (a))",
            "AT_LEAST(1, ALARM, ())",
            "AT_LEAST(1, ALARM, a)",
            "AT_LEAST(1, TRUE, (a))",
            "AT_LEAST(1, ALARM, (a b))",
            &"(".repeat(10_000),
            &"NOT ".repeat(1000),
        ] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }
}
