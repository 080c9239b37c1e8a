package imagelist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// interpolate replaces the variables in a text as docker compose does: $NAME, ${NAME}, ${NAME:-default}, ${NAME:?message},
// ${NAME:+value}, each also without the colon, and $$ for a dollar sign. Values may contain variables themselves. Variables
// without a value and a default are returned as unset. The library of docker compose prints them instead of returning them.
// https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
func interpolate(text string, lookup func(string) (string, bool)) (result string, unset []string, err error) {
	if lookup == nil {
		lookup = func(string) (string, bool) { return "", false }
	}
	i := interpolation{lookup: lookup}
	result = i.replace(text, 0)
	return result, i.unset, i.err
}

// maxNesting is the maximal depth of variables in the values of variables.
const maxNesting = 20

type interpolation struct {
	lookup func(string) (string, bool)
	unset  []string
	err    error // the first one
}

func (i *interpolation) fail(err error) string {
	if i.err == nil {
		i.err = err
	}
	return ""
}

func (i *interpolation) replace(text string, depth int) string {
	if depth > maxNesting {
		return i.fail(errors.New("variables are nested too deeply"))
	}
	var result strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		result.WriteString(before)
		if !found {
			return result.String()
		}
		name := rest[:nameLength(rest)]
		switch {
		case strings.HasPrefix(rest, "$"):
			result.WriteByte('$')
			text = rest[1:]
		case strings.HasPrefix(rest, "{"):
			end := closingBrace(rest)
			if end < 0 {
				return i.fail(errors.New("a ${ has no }"))
			}
			result.WriteString(i.braced(rest[1:end], depth))
			text = rest[end+1:]
		case name != "":
			result.WriteString(i.value(name))
			text = rest[len(name):]
		default:
			return i.fail(errors.New("a $ has no name after it; write $$ for a dollar sign"))
		}
	}
}

// value returns the value of a variable that has no default.
func (i *interpolation) value(name string) string {
	value, set := i.lookup(name)
	if !set {
		i.unset = append(i.unset, name)
	}
	return value
}

// braced returns the value of an expression between braces.
func (i *interpolation) braced(expression string, depth int) string {
	name := expression[:nameLength(expression)]
	operator := strings.TrimPrefix(expression[len(name):], ":")
	if name == "" || operator == "" && len(expression) > len(name) {
		return i.fail(fmt.Errorf("${%s} is not a variable", expression))
	}
	if operator == "" {
		return i.value(name)
	}
	value, set := i.lookup(name)
	if len(operator) < len(expression)-len(name) { // with a colon, an empty value counts as none
		set = set && value != ""
	}
	other := operator[1:]
	switch operator[0] {
	case '-':
		if set {
			return value
		}
		return i.replace(other, depth+1)
	case '+':
		if set {
			return i.replace(other, depth+1)
		}
		return ""
	case '?':
		if !set {
			i.unset = append(i.unset, name)
		}
		return value
	}
	return i.fail(fmt.Errorf("${%s} is not a variable", expression))
}

// nameLength returns the length of the name of a variable that text begins with.
func nameLength(text string) int {
	for i, c := range []byte(text) {
		if !(c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z' || i > 0 && '0' <= c && c <= '9') {
			return i
		}
	}
	return len(text)
}

// closingBrace returns the index of the brace that closes the one at the beginning of text, or -1.
func closingBrace(text string) int {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// ParseEnv reads the file .env beside a docker compose file: lines of NAME=value, with # before comments. The values of
// lookup, such as the environment, win over those of the file.
func ParseEnv(r io.Reader, lookup func(string) (string, bool)) (func(name string) (string, bool), error) {
	values := make(map[string]string)
	find := func(name string) (string, bool) {
		if value, set := lookup(name); set {
			return value, true
		}
		value, set := values[name]
		return value, set
	}
	scanner := bufio.NewScanner(io.LimitReader(r, maxFile))
	for scanner.Scan() {
		line := strings.TrimPrefix(strings.TrimSpace(scanner.Text()), "export ")
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		values[name] = envValue(strings.TrimSpace(value), find)
	}
	return find, scanner.Err()
}

// envValue returns a value without its quotes and comment, and with its variables replaced unless it has single quotes.
func envValue(text string, lookup func(string) (string, bool)) string {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 {
			if text[0] == '\'' {
				return text[1 : end+1]
			}
			text = text[1 : end+1]
		}
	} else if i := commentStart(text); i >= 0 {
		text = strings.TrimSpace(text[:i])
	}
	value, _, err := interpolate(text, lookup)
	if err != nil {
		return text
	}
	return value
}
