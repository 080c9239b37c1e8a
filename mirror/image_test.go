package mirror

import "testing"

func TestSumsOfClaimedSizesDoNotOverflow(t *testing.T) {
	const most = int64(1<<63 - 1)
	for _, tt := range [][3]int64{{1, 2, 3}, {most, 0, most}, {most - 1, 1, most}, {most, 1, most}, {most, most, most}} {
		if got := AddSizes(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%d + %d is %d", tt[0], tt[1], got)
		}
	}
}
