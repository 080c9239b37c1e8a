package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestReferrersPage(t *testing.T) {
	descs := func(names, by string) (list []v1.Descriptor) {
		for _, name := range strings.Fields(names) {
			list = append(list, v1.Descriptor{Digest: digest.Digest(name), MediaType: by})
		}
		return list
	}
	for _, tt := range []struct {
		stored, theirs string
		more           bool
		n, size        int
		want           string
		wantMore       bool
	}{
		{"a c", "b d", false, 9, 1 << 20, "a b c d", false},
		{"a c", "b d", true, 9, 1 << 20, "a b c", true}, // the stored list may continue before d
		{"a b", "a b", false, 9, 1 << 20, "a b", false},
		{"a b", "a b c", true, 9, 1 << 20, "a b", true},
		{"a c", "b d", false, 2, 1 << 20, "a b", true},
		{"a c", "b d", false, 4, 1 << 20, "a b c d", false},
		{"a c", "b d", false, 9, 600, "a b", true},
		{"", "b d", false, 9, 1, "b", true},
		{"a", "", false, 9, 1, "a", false},
		{"", "", false, 9, 1 << 20, "", false},
		{"a", "b", false, 0, 1 << 20, "", true},
	} {
		page := referrersPage{n: tt.n, size: tt.size}
		page.merge(descs(tt.stored, "held"), descs(tt.theirs, "theirs"), tt.more)
		var got []string
		for _, desc := range page.Items {
			got = append(got, desc.Digest.String())
			if desc.MediaType != "held" && slices.Contains(strings.Fields(tt.stored), desc.Digest.String()) {
				t.Errorf("%s is taken from the upstream", desc.Digest)
			}
		}
		if strings.Join(got, " ") != tt.want || page.More != tt.wantMore {
			t.Errorf("%+v: %s, more: %t", tt, got, page.More)
		}
	}
}
