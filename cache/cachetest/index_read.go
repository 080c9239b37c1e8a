package cachetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"airmirror/cache/backend"
)

func testIndexGet(t *testing.T, x indexTest) {
	defer x.close()
	if got := x.get("none", "a"); got != "" {
		t.Errorf("key of a table that was never written has value %q", got)
	}
	x.put("one", "a", "b\x00c")
	x.put("two", "a")
	if got := x.get("one", "b\x00c"); got != "value of b\x00c" {
		t.Errorf("value is %q", got)
	}
	if got := x.get("two", "b\x00c"); got != "" {
		t.Errorf("tables share a key: %q", got)
	}
	if got := x.get("one", "b"); got != "" {
		t.Errorf("the beginning of a key has value %q", got)
	}
	err := x.Update(context.Background(), func(tx backend.WriteTx) error {
		return errors.Join(tx.Delete("one", "a"), tx.Delete("one", "never there"), tx.Delete("no table", "a"))
	})
	if err != nil {
		t.Errorf("delete: %v", err)
	}
	if x.get("one", "a") != "" || x.get("two", "a") == "" {
		t.Error("delete did not remove one key from one table")
	}
	err = x.Update(context.Background(), func(tx backend.WriteTx) error { return tx.Put("one", "empty", nil) })
	if err == nil {
		t.Error("an empty value was taken")
	}
}

func testIndexScan(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b", "b\x00", "b\x001", "b\x002", "b\x003", "ba", "c", "\xff", "\xff\xff")
	tests := []struct{ prefix, after, want string }{
		{"", "", "a b b. b.1 b.2 b.3 ba c # ##"},
		{"b", "", "b b. b.1 b.2 b.3 ba"},
		{"b\x00", "", "b. b.1 b.2 b.3"},
		{"b\x00", "b\x00", "b.1 b.2 b.3"},
		{"b\x00", "b\x001", "b.2 b.3"},
		{"b\x00", "b\x0011", "b.2 b.3"}, // need not exist
		{"b\x00", "b\x003", ""},
		{"b\x00", "a", "b. b.1 b.2 b.3"}, // before the prefix
		{"b\x00", "c", ""},               // behind it
		{"", "c", "# ##"},
		{"\xff", "", "# ##"},
		{"\xff", "\xff", "##"},
		{"d", "", ""},
	}
	show := strings.NewReplacer("\x00", ".", "\xff", "#")
	for _, test := range tests {
		var got []string
		err := x.View(context.Background(), func(tx backend.ReadTx) error {
			for key, value := range tx.Scan("t", test.prefix, test.after) {
				got = append(got, show.Replace(key))
				if string(value) != "value of "+key {
					t.Errorf("scan of %q yields %q as the value of %q", test.prefix, value, key)
				}
			}
			for range tx.Scan("t", test.prefix, test.after) {
				break // must not go on
			}
			for range tx.Scan("never written", test.prefix, test.after) {
				t.Error("a table that was never written has keys")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("scan of %q after %q: %q, want %q", test.prefix, test.after, strings.Join(got, " "), test.want)
		}
	}
}

func testIndexReadYourWrites(t *testing.T, x indexTest) {
	defer x.close()
	x.put("t", "a", "b")
	err := x.Update(context.Background(), func(tx backend.WriteTx) error {
		if err := errors.Join(tx.Put("t", "c", []byte("new")), tx.Put("t", "b", []byte("new")), tx.Delete("t", "a")); err != nil {
			return err
		}
		if tx.Get("t", "a") != nil || string(tx.Get("t", "b")) != "new" || string(tx.Get("t", "c")) != "new" {
			t.Error("Get does not see what the transaction wrote")
		}
		var keys []string
		for key := range tx.Scan("t", "", "") {
			keys = append(keys, key)
		}
		if !slices.Equal(keys, []string{"b", "c"}) {
			t.Errorf("Scan sees %q, want b and c", keys)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
