package twin

import "net/http"

// Merchant is the pay side of the account.
type Merchant struct {
	ID string
}

func (t *Twin) listBills(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
func (t *Twin) endBill(w http.ResponseWriter, r *http.Request)   { http.NotFound(w, r) }
