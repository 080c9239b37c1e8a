package mirror_test

import (
	"net/http"
	"testing"
	"time"

	"airmirror/mirror"
)

func TestRetryAfter(t *testing.T) {
	received := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		headers map[string]string
		want    time.Duration
		ok      bool
	}{
		"none":                {nil, 0, false},
		"invalid":             {map[string]string{"Retry-After": "soon"}, 0, false},
		"negative":            {map[string]string{"Retry-After": "-3"}, 0, false},
		"seconds":             {map[string]string{"Retry-After": "7"}, 7 * time.Second, true},
		"the other header":    {map[string]string{"X-Retry-After": "7"}, 7 * time.Second, true},
		"a date":              {map[string]string{"Retry-After": "Fri, 01 May 2026 12:01:00 GMT"}, time.Minute, true},
		"a past date":         {map[string]string{"Retry-After": "Fri, 01 May 2026 11:00:00 GMT"}, 0, true},
		"Unix time":           {map[string]string{"Retry-After": "1777636830"}, 30 * time.Second, true},
		"the server's clock":  {map[string]string{"Retry-After": "Fri, 01 May 2026 12:01:00 GMT", "Date": "Fri, 01 May 2026 12:00:50 GMT"}, 10 * time.Second, true},
		"seconds with a date": {map[string]string{"Retry-After": "7", "Date": "Fri, 01 May 2026 13:00:00 GMT"}, 7 * time.Second, true},
	} {
		h := http.Header{}
		for key, value := range tt.headers {
			h.Set(key, value)
		}
		if got, ok := mirror.RetryAfter(h, received); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %v, %t, want %v, %t", name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestFormatRetryAfter(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		0: "1", time.Millisecond: "1", time.Second: "1", 1100 * time.Millisecond: "2", time.Minute: "60",
	} {
		if got := mirror.FormatRetryAfter(wait); got != want {
			t.Errorf("%s: got %s, want %s", wait, got, want)
		}
	}
}
