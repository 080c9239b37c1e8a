package registry

import (
	"slices"
	"strings"
	"testing"

	"airmirror/mirror"
)

func TestParseRanges(t *testing.T) {
	for header, want := range map[string][]mirror.Span{
		"bytes=0-9":                             {{Off: 0, Len: 10}},
		"bytes=90-":                             {{Off: 90, Len: 10}},
		"bytes=90-1000":                         {{Off: 90, Len: 10}},
		"bytes=-10":                             {{Off: 90, Len: 10}},
		"bytes=-1000":                           {{Off: 0, Len: 100}},
		"bytes=0-0, 50-59 ,-1":                  {{Off: 0, Len: 1}, {Off: 50, Len: 10}, {Off: 99, Len: 1}},
		"bytes=100-":                            nil,
		"bytes=9-8":                             nil,
		"bytes=-0":                              nil,
		"bytes=-":                               nil,
		"bytes=--5":                             nil,
		"bytes=+1-2":                            nil,
		"bytes=x-2,5-6":                         {{Off: 5, Len: 2}},
		"bytes=99999999999999999999-":           nil,
		"":                                      nil,
		"bytes":                                 nil,
		"lines=0-9":                             nil,
		"bytes=" + strings.Repeat("1-2,", 1000): slices.Repeat([]mirror.Span{{Off: 1, Len: 2}}, maxRanges),
	} {
		if got := parseRanges(header, 100); !slices.Equal(got, want) {
			t.Errorf("%.40s: %v, want %v", header, got, want)
		}
	}
	if got := parseRanges("bytes=0-9", 0); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
