package gc_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"airmirror/gc"
)

func TestPolicyIsReadFromYAML(t *testing.T) {
	want := gc.Policy{
		Grace: gc.Age(90 * time.Minute), UploadTTL: gc.Age(-1), MaxSize: 500e9, ShrinkTo: 20 << 30,
		KeepFree: gc.Share{Percent: 7.5}, FreeUpTo: gc.Share{Bytes: 3e9}, Evict: []string{"a.test/**"},
		Rules: []gc.Rule{{Match: "docker.io/**", KeepNewest: 3, DropUnusedFor: gc.Age(30 * day), DropSupersededAfter: gc.Age(14 * day), Keep: []string{"v*"}}},
	}
	const text = `
grace: 90m
uploadTTL: -1ns
maxSize: 500GB
shrinkTo: 20GiB
keepFree: 7.5%
freeUpTo: 3GB
evict: [a.test/**]
rules:
  - match: docker.io/**
    keepNewest: 3
    dropUnusedFor: 30d
    dropSupersededAfter: 2w
    keep: [v*]
`
	var got gc.Policy
	if err := yaml.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	for name, codec := range map[string]struct {
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}{"JSON": {json.Marshal, json.Unmarshal}, "YAML": {yaml.Marshal, yaml.Unmarshal}} {
		data, err := codec.marshal(want)
		again := gc.Policy{}
		if err == nil {
			err = codec.unmarshal(data, &again)
		}
		if err != nil || !reflect.DeepEqual(again, want) {
			t.Errorf("%s: %v, %+v from\n%s", name, err, again, data)
		}
		data, err = codec.marshal(gc.Policy{})
		nothing := gc.Policy{}
		if err == nil {
			err = codec.unmarshal(data, &nothing)
		}
		if err != nil || nothing.Validate() != nil || nothing.MaxSize != 0 || len(nothing.Rules) != 0 {
			t.Errorf("%s of nothing: %v, %+v from\n%s", name, err, nothing, data)
		}
	}
}

func TestInvalidPoliciesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"grace: soon":                               "not a duration",
		"grace: 1x":                                 "not a duration",
		"maxSize: big":                              "not a size",
		"keepFree: 101%":                            "not a percentage",
		"keepFree: NaN%":                            "not a percentage",
		"keepFree: some":                            "neither a size",
		"maxSize: 500":                              `"500" has no unit: write 500GB or 20GiB`,
		"maxSize: '5.5'":                            `"5.5" has no unit`,
		"maxSize: '500 '":                           "has no unit",
		"shrinkTo: 1,000":                           "has no unit",
		"keepFree: 10":                              `"10" has no unit: write 500GB or 10%`,
		"maxSize: 9EiB":                             "not a size",
		"{maxSize: 1GB, shrinkTo: 2GB}":             "is more than",
		"freeUpTo: 1GB":                             "without keepFree",
		"evict: ['[']":                              "not a pattern",
		"rules: [{keepNewest: 1}]":                  "not a pattern",
		"rules: [{match: a, keep: ['[']}]":          "not a pattern of tags",
		"rules: [{match: a, keepNewest: -1}]":       "negative",
		"rules: [{match: a, dropUnusedFor: '-1h'}]": "negative",
	} {
		var p gc.Policy
		err := yaml.Unmarshal([]byte(text), &p)
		if err == nil {
			err = p.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestValidPolicies(t *testing.T) {
	for _, p := range []gc.Policy{
		{ShrinkTo: 1}, {MaxSize: 1, ShrinkTo: 1}, {Evict: []string{team + "@" + digestOf("v1").String()}}, {Evict: []string{team + ":v1", "**"}},
	} {
		if err := p.Validate(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// TestSizeTextRoundTrips also protects the output of 'mirror config show', which must be readable again.
func TestSizeTextRoundTrips(t *testing.T) {
	for text, want := range map[string]gc.Size{"0": 0, "7B": 7, "1500MB": 1.5e9, "4GiB": 4 << 30, "1048577B": 1<<20 + 1, "2TB": 2e12, "3TiB": 3 << 40} {
		var s gc.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != text {
			t.Errorf("%s is read as %d, %v, and written as %s", text, s, err, s)
		}
	}
}

func TestAgeText(t *testing.T) {
	for text, want := range map[string]struct {
		age  time.Duration
		text string
	}{
		"0d": {0, "0s"}, "36h": {36 * hour, "36h"}, "48h": {2 * day, "2d"}, "2w": {14 * day, "14d"}, "-24h": {-day, "-24h"},
		"106751d": {106751 * day, "106751d"},
	} {
		var a gc.Age
		if err := a.UnmarshalText([]byte(text)); err != nil || time.Duration(a) != want.age || a.String() != want.text {
			t.Errorf("%s is read as %d, %v, and written as %s; want %d and %s", text, a, err, a, want.age, want.text)
		}
	}
	var a gc.Age
	if err := a.UnmarshalText([]byte("106752d")); err == nil {
		t.Errorf("106752d is read as %s", a)
	}
}

func TestShareText(t *testing.T) {
	for text, share := range map[string]gc.Share{"7.25%": {Percent: 7.25}, "20GB": {Bytes: 20e9}, "0": {}} {
		if got := share.String(); got != text {
			t.Errorf("%+v is written as %s, want %s", share, got, text)
		}
	}
}

func TestShareOfDisk(t *testing.T) {
	for text, want := range map[string]int64{"10%": 100, "0%": 0, "300B": 300, "0": 0, "0.1%": 1, "100%": 1000} {
		var s gc.Share
		if err := s.UnmarshalText([]byte(text)); err != nil || s.Of(1000) != want {
			t.Errorf("%s is %d, %v; want %d", text, s.Of(1000), err, want)
		}
	}
}
