package main

import (
	"strings"
	"testing"
)

func TestReadWantsReadsSeveralLists(t *testing.T) {
	const one, other = `[{"ref":"docker.io/library/a:1"}]`, `[{"ref":"docker.io/library/b:1"},{"ref":"docker.io/library/c:1"}]`
	for text, want := range map[string]struct {
		n     int
		fails string
	}{
		"[]": {}, one: {n: 1}, one + "\n" + other + "\n": {n: 3}, "": {fails: "the file is empty"},
		one + " and more": {n: 1, fails: "invalid character"}, one + `[{"ref":`: {n: 1, fails: "unexpected EOF"},
	} {
		wants, err := readWants(strings.NewReader(text))
		if len(wants) != want.n || (err == nil) != (want.fails == "") || err != nil && !strings.Contains(err.Error(), want.fails) {
			t.Errorf("%q: %d wants, %v; want %d, %q", text, len(wants), err, want.n, want.fails)
		}
	}
}
