package main

import (
	"testing"
	"unicode/utf8"
)

// TestBarFitsTheTerminal shows a bar beside a long name in terminals of several widths.
func TestBarFitsTheTerminal(t *testing.T) {
	l := barLine{label: "3 of 7 images", done: 50, total: 100, amounts: "50 B of 100 B, 5 B/s", current: "registry.example.com/team/application:1.2.3"}
	for width, want := range map[int]string{
		130: "[==============>---------------] 3 of 7 images, 50 B of 100 B, 5 B/s  registry.example.com/team/application:1.2.3",
		100: "[=======>---------] 3 of 7 images, 50 B of 100 B, 5 B/s  registry.example.com/team/application:1.2.3",
		80:  "[===>----] 3 of 7 images, 50 B of 100 B, 5 B/s  registry.exampl…pplication:1.2.3",
		60:  "3 of 7 images, 50 B of 100 B, 5 B/s  registry.ex…ation:1.2.3",
		40:  "3 of 7 images, 50 B of 100 B, 5 B/s",
		30:  "50 B of 100 B, 5 B/s",
		10:  "50 B…5 B/s",
	} {
		got := l.fit(width)
		if got != want {
			t.Errorf("in %d columns: %q, want %q", width, got, want)
		}
	}
	for width := range 200 {
		if n := utf8.RuneCountInString(l.fit(width)); n > width {
			t.Errorf("in %d columns: a line of %d", width, n)
		}
	}
	if got, want := (barLine{done: 5, total: 5, amounts: "5 B of 5 B"}).fit(80), "[==============================] 5 B of 5 B"; got != want {
		t.Errorf("without label and name: %q, want %q", got, want)
	}
}
