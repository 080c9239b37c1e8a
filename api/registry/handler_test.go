package registry

import (
	"net/http/httptest"
	"testing"
)

func TestHeadersKeepTheirValues(t *testing.T) {
	x := &exchange{ResponseWriter: httptest.NewRecorder()}
	headers := []string{"A", "B", "C", "D", "E", "F"} // more than fit into the exchange
	for _, key := range headers {
		x.set(key, "value of "+key)
	}
	x.set("A", "other")
	x.Header().Add("B", "second")
	for _, key := range headers[2:] {
		if got := x.Header().Values(key); len(got) != 1 || got[0] != "value of "+key {
			t.Errorf("%s is %q", key, got)
		}
	}
	if a, b := x.Header().Values("A"), x.Header().Values("B"); len(a) != 1 || a[0] != "other" || len(b) != 2 || b[0] != "value of B" || b[1] != "second" {
		t.Errorf("A is %q, B is %q", a, b)
	}
}
