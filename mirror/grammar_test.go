package mirror

import (
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// What the grammar is: paths and tags as the specification has them, hosts as Docker's reference library does.
var (
	pathPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	hostPattern = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$`)
	tagPattern  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func checkGrammar(t *testing.T, s string) {
	t.Helper()
	if got, want := validPath(s), pathPattern.MatchString(s); got != want {
		t.Errorf("validPath(%q) = %v", s, got)
	}
	if got, want := ValidTag(s), tagPattern.MatchString(s); got != want {
		t.Errorf("ValidTag(%q) = %v", s, got)
	}
	if got, want := ValidHost(s), len(s) <= maxNameLength && hostPattern.MatchString(s); got != want {
		t.Errorf("ValidHost(%q) = %v", s, got)
	}
	d := digest.Digest(s)
	if got, want := validDigest(s), d.Validate() == nil && ValidAlgorithm(d.Algorithm()); got != want {
		t.Errorf("validDigest(%q) = %v", s, got)
	}
}

// grammarSamples are near the edges of the grammar.
func grammarSamples() []string {
	samples := []string{"", "localhost:5000", "[::1]", "[::1]:5000", "[]", "[::1", "[::1]x", "[::1]5000", "[a]b]", "[g]", "a:", "a:123456",
		"a:1:2", ":1", "a..b", "a-.b", "é", "a\n", "\xff", "library/alpine"}
	for _, n := range []int{63, 64, 65, 127, 128, 129, 254, 255, 256} {
		samples = append(samples, strings.Repeat("a", n))
		for _, algorithm := range []string{"sha256:", "sha384:", "sha512:", "sha256", "SHA256:"} {
			samples = append(samples, algorithm+strings.Repeat("a", n), algorithm+strings.Repeat("a", n-1)+"g", algorithm+strings.Repeat("A", n))
		}
	}
	return samples
}

// TestGrammar tries all short strings of characters that mean something, and the edges.
func TestGrammar(t *testing.T) {
	for _, s := range grammarSamples() {
		checkGrammar(t, s)
	}
	const alphabet = "aA0._-/:[]"
	var try func(prefix string, more int)
	try = func(prefix string, more int) {
		checkGrammar(t, prefix)
		for i := 0; more > 0 && i < len(alphabet); i++ {
			try(prefix+alphabet[i:i+1], more-1)
		}
	}
	try("", 5)
}

func FuzzGrammar(f *testing.F) {
	for _, s := range grammarSamples() {
		f.Add(s)
	}
	f.Fuzz(checkGrammar)
}

func TestGrammarTakesNoMemory(t *testing.T) {
	d := "sha256:" + strings.Repeat("a", 64)
	if n := testing.AllocsPerRun(10, func() {
		_ = (Repo{Host: "ghcr.io", Path: "org/app"}).Validate()
		_ = ValidTag("latest")
		_, _ = ParseDigest(d)
	}); n > 0 {
		t.Errorf("checking names takes %v allocations", n)
	}
}
