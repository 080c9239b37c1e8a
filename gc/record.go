package gc

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
)

// resultRecord is a [Result] as a store keeps it. Its keys are those of data folders that exist: they do not change when
// the keys of the admin API do.
type resultRecord struct {
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"`
	Totals
	Planned       int64             `json:"planned"`
	Budget        budgetRecord      `json:"budget"`
	InGrace       GraceTotals       `json:"waiting"`
	Kept          int               `json:"kept,omitempty"`
	KeptFirst     []candidateRecord `json:"stayed,omitempty"`
	LongestMillis float64           `json:"longestTransactionMillis"`
	Cause         Cause             `json:"cause,omitempty"`
	Error         string            `json:"error,omitempty"`
}

// budgetRecord is the [Budget] of a resultRecord.
type budgetRecord struct {
	Stored    int64  `json:"held"`
	MaxSize   int64  `json:"maxSize,omitempty"`
	ShrinkTo  int64  `json:"shrinkTo,omitempty"`
	DiskTotal int64  `json:"diskTotal,omitempty"`
	DiskFree  int64  `json:"diskFree,omitempty"`
	KeepFree  int64  `json:"keepFree,omitempty"`
	FreeUpTo  int64  `json:"freeUpTo,omitempty"`
	Need      int64  `json:"need,omitempty"`
	Shortfall int64  `json:"short,omitempty"`
	Reason    string `json:"shortWhy,omitempty"`
}

// candidateRecord is a [Candidate] of a resultRecord.
type candidateRecord struct {
	Kind      Kind          `json:"kind"`
	Name      string        `json:"name"`
	Tags      []string      `json:"tags,omitempty"`
	Digest    digest.Digest `json:"digest,omitempty"`
	Manifests int           `json:"manifests,omitempty"`
	Size      int64         `json:"size"`
	Freed     int64         `json:"freed"`
	LastUsed  time.Time     `json:"lastUsed,omitzero"`
	Reason    string        `json:"why"`
	Code      string        `json:"code,omitempty"`
	Kept      string        `json:"kept,omitempty"`
}

// encodeResult returns the record of a result.
func encodeResult(r Result) ([]byte, error) {
	var kept []candidateRecord
	for _, c := range r.KeptFirst {
		kept = append(kept, candidateRecord(c))
	}
	return json.Marshal(resultRecord{
		Began: r.Began, Seconds: r.Seconds, Totals: r.Totals, Planned: r.Planned, Budget: budgetRecord(r.Budget), InGrace: r.InGrace,
		Kept: r.Kept, KeptFirst: kept, LongestMillis: r.LongestMillis, Cause: r.Cause, Error: r.Error,
	})
}

// decodeResult reads the record of a result.
func decodeResult(data []byte) (Result, error) {
	var r resultRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return Result{}, err
	}
	var kept []Candidate
	for _, c := range r.KeptFirst {
		kept = append(kept, Candidate(c))
	}
	return Result{
		Began: r.Began, Seconds: r.Seconds, Totals: r.Totals, Planned: r.Planned, Budget: Budget(r.Budget), InGrace: r.InGrace,
		Kept: r.Kept, KeptFirst: kept, LongestMillis: r.LongestMillis, Cause: r.Cause, Error: r.Error,
	}, nil
}
