package export

import (
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"
)

// parquetRow is a row as Parquet holds it: times as instants, amounts as whole minor
// units with null on the empty side, and a dictionary where few values repeat.
type parquetRow struct {
	Seq         int64  `parquet:"seq"`
	PostedAt    int64  `parquet:"posted_at,timestamp(millisecond:utc)"`
	Transaction int64  `parquet:"transaction"`
	Kind        string `parquet:"kind,dict"`
	Campaign    string `parquet:"campaign,dict"`
	Account     string `parquet:"account,dict"`
	User        string `parquet:"user"`
	Reward      string `parquet:"reward,dict"`
	Grant       string `parquet:"grant"`
	Event       string `parquet:"event"`
	Debit       int64  `parquet:"debit,optional"`
	Credit      int64  `parquet:"credit,optional"`
	Currency    string `parquet:"currency,dict"`
	Memo        string `parquet:"memo"`
	Hash        string `parquet:"hash"`
}

// rowsPerGroup bounds what the writer holds at once: a group is written when it is full.
const rowsPerGroup = 50_000

func writeParquet(w io.Writer, rows iter.Seq2[Row, error]) error {
	out := parquet.NewGenericWriter[parquetRow](w, parquet.MaxRowsPerRowGroup(rowsPerGroup), parquet.Compression(&parquet.Snappy),
		parquet.CreatedBy("kfactor", "", ""))
	batch := make([]parquetRow, 0, 1000)
	for row, err := range rows {
		if err != nil {
			return err
		}
		batch = append(batch, parquetRow(row))
		if len(batch) == cap(batch) {
			if _, err := out.Write(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	if _, err := out.Write(batch); err != nil {
		return err
	}
	return out.Close()
}
