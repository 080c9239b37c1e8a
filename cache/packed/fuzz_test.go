package packed

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzKey decodes any key below, and encodes any key, by all layouts. A key and its form belong to each other only.
func FuzzKey(f *testing.F) {
	d, other := digest.FromString("one").String(), digest.SHA512.FromString("two").String()
	fuzzed := []Layout{{Digest}, {Digest, Repo}, {Repo, Digest}, {Digest, Repo, Digest}, {Repo, Text}, {Repo, Digest, Text}, {Repo, Digest, Digest}}
	const repo, n = "docker.io/library/alpine", number(300)
	name := func(other number) string {
		if other == n {
			return repo
		}
		return ""
	}
	assigned := func(name string) number {
		if name == repo {
			return n
		}
		return 0
	}
	for _, key := range []string{
		d, other, d + "\x00" + repo, repo + "\x00" + d, d + "\x00" + repo + "\x00" + other, d + "\x00" + repo + "\x00" + d, repo + "\x00v1",
		repo + "\x00" + d + "\x00v1", repo + "\x00" + other + "\x00" + d, "sha256:", "\x00", "\xff", "\xff\x01", repo + "\x00\x00", strings.ToUpper(d),
	} {
		f.Add(key)
		for _, layout := range fuzzed {
			below, _ := layout.encode(key, assigned)
			f.Add(below)
		}
	}
	f.Fuzz(func(t *testing.T, key string) {
		for _, layout := range fuzzed {
			below, _ := layout.encode(key, assigned)
			if got := layout.decode(below, name); below != "" && got != key && !strings.HasPrefix(key, Undecodable) {
				t.Errorf("%v: %q becomes %q and then %q", layout, key, below, got)
			}
			if key == "" {
				continue
			}
			decoded := layout.decode(key, name)
			if got, _ := layout.encode(decoded, assigned); got != key {
				t.Errorf("%v: below, %q becomes %q and then %q", layout, key, decoded, got)
			}
		}
	})
}

// FuzzNumber checks that a number has one form, and that forms have the order of their numbers.
func FuzzNumber(f *testing.F) {
	for _, n := range []uint32{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 1<<21 - 1, 1 << 21, 1<<28 - 1} {
		f.Add(n, n+1)
	}
	f.Fuzz(func(t *testing.T, a, b uint32) {
		x, y := number(a)&maxNumber, number(b)&maxNumber
		form, other := string(x.append(nil)), string(y.append(nil))
		if got, rest := cutNumber(form + "rest"); x != 0 && (got != x || rest != "rest") {
			t.Errorf("%d is read as %d and %q", x, got, rest)
		}
		if (x < y) != (form < other) || x != y && strings.HasPrefix(form, other) {
			t.Errorf("%d is %q, and %d is %q", x, form, y, other)
		}
	})
}
