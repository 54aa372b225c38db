//! From text to a tree.

/// AWS's limit on an expression; also bounds the depth of its tree.
const MAX_LENGTH: usize = 2048;
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Number(f64),
    Text(String),
    /// An id of the request, or a word such as `REPEAT` that a function knows.
    Name(String),
    Array(Vec<Expr>),
    Call(String, Vec<Expr>),
    Negative(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Power,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Name(String),
    Operator(Operator),
    Sign(char),
}

pub fn parse(text: &str) -> Result<Expr, String> {
    if text.trim().is_empty() {
        return Err("The expression is empty.".into());
    }
    if text.chars().count() > MAX_LENGTH {
        return Err(format!(
            "The expression is longer than {MAX_LENGTH} characters."
        ));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let expr = parser.binary(0)?;
    match parser.next() {
        None => Ok(expr),
        Some(token) => Err(format!(
            "Unexpected {} after the expression.",
            words(&token)
        )),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let mut follows = |wanted: char| rest.next_if(|(_, c)| *c == wanted).is_some();
        use Operator as O;
        tokens.push(match c {
            _ if c.is_whitespace() => continue,
            '(' | ')' | '[' | ']' | ',' => Token::Sign(c),
            '+' => Token::Operator(O::Plus),
            '-' => Token::Operator(O::Minus),
            '*' => Token::Operator(O::Times),
            '/' => Token::Operator(O::Divide),
            '^' => Token::Operator(O::Power),
            '=' if follows('=') => Token::Operator(O::Equal),
            '!' if follows('=') => Token::Operator(O::NotEqual),
            '<' if follows('=') => Token::Operator(O::LessOrEqual),
            '<' => Token::Operator(O::Less),
            '>' if follows('=') => Token::Operator(O::GreaterOrEqual),
            '>' => Token::Operator(O::Greater),
            '&' if follows('&') => Token::Operator(O::And),
            '|' if follows('|') => Token::Operator(O::Or),
            '\'' | '"' => Token::Text(quoted(&mut rest, c)?),
            _ if c.is_ascii_digit() || c == '.' => {
                let mut end = at + c.len_utf8();
                let mut last = c;
                while let Some((i, next)) = rest.next_if(|(_, n)| {
                    n.is_ascii_digit()
                        || matches!(n, '.' | 'e' | 'E')
                        || (matches!(n, '+' | '-') && matches!(last, 'e' | 'E'))
                }) {
                    end = i + next.len_utf8();
                    last = next;
                }
                let number = &text[at..end];
                let value: f64 = number
                    .parse()
                    .map_err(|_| format!("'{number}' is no number."))?;
                Token::Number(value)
            }
            _ if c.is_ascii_alphabetic() => {
                let mut end = at + 1;
                while let Some((i, _)) =
                    rest.next_if(|(_, n)| n.is_ascii_alphanumeric() || *n == '_')
                {
                    end = i + 1;
                }
                match &text[at..end] {
                    "AND" => Token::Operator(O::And),
                    "OR" => Token::Operator(O::Or),
                    name => Token::Name(name.to_owned()),
                }
            }
            _ => return Err(format!("Unexpected character '{c}' at position {at}.")),
        });
    }
    Ok(tokens)
}

/// Up to the closing quote; a backslash takes what follows as it is.
fn quoted(rest: &mut impl Iterator<Item = (usize, char)>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, c)) = rest.next() {
        match c {
            _ if c == quote => return Ok(text),
            '\\' => text.extend(rest.next().map(|(_, c)| c)),
            _ => text.push(c),
        }
    }
    Err(format!("A text that begins with {quote} has no end."))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }
    fn takes(&mut self, sign: char) -> bool {
        let found = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(found);
        found
    }
    fn wants(&mut self, sign: char) -> Result<(), String> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("Expected '{sign}', found {}.", words(token)),
            None => format!("Expected '{sign}' at the end."),
        })
    }

    /// Operators that bind at least as strongly as `least`.
    fn binary(&mut self, least: u8) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("It is nested deeper than {MAX_DEPTH} levels."));
        }
        let mut left = self.single()?;
        while let Some(Token::Operator(operator)) = self.peek() {
            let operator = *operator;
            let strength = strength(operator);
            if strength < least {
                break;
            }
            self.at += 1;
            // Powers group from the right, all else from the left.
            let right = self.binary(strength + u8::from(operator != Operator::Power))?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right));
        }
        self.depth -= 1;
        Ok(left)
    }

    fn single(&mut self) -> Result<Expr, String> {
        match self.next() {
            Some(Token::Number(n)) => Ok(Expr::Number(n)),
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Operator(Operator::Minus)) => {
                let value = self.binary(strength(Operator::Power))?;
                Ok(Expr::Negative(Box::new(value)))
            }
            Some(Token::Operator(Operator::Plus)) => self.binary(strength(Operator::Power)),
            Some(Token::Name(name)) if self.takes('(') => Ok(Expr::Call(name, self.list(')')?)),
            Some(Token::Name(name)) => Ok(Expr::Name(name)),
            Some(Token::Sign('[')) => Ok(Expr::Array(self.list(']')?)),
            Some(Token::Sign('(')) => {
                let inner = self.binary(0)?;
                self.wants(')')?;
                Ok(inner)
            }
            Some(token) => Err(format!("Unexpected {}.", words(&token))),
            None => Err("The expression ends where a value is expected.".into()),
        }
    }

    fn list(&mut self, end: char) -> Result<Vec<Expr>, String> {
        let mut items = Vec::new();
        if self.takes(end) {
            return Ok(items);
        }
        loop {
            items.push(self.binary(0)?);
            if !self.takes(',') {
                self.wants(end)?;
                return Ok(items);
            }
        }
    }
}

fn strength(operator: Operator) -> u8 {
    use Operator as O;
    match operator {
        O::Or => 1,
        O::And => 2,
        O::Equal | O::NotEqual | O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => 3,
        O::Plus | O::Minus => 4,
        O::Times | O::Divide => 5,
        O::Power => 6,
    }
}

fn words(token: &Token) -> String {
    match token {
        Token::Number(n) => format!("number {n}"),
        Token::Text(text) => format!("text '{text}'"),
        Token::Name(name) => format!("'{name}'"),
        Token::Operator(operator) => format!("operator {operator:?}"),
        Token::Sign(sign) => format!("'{sign}'"),
    }
}
