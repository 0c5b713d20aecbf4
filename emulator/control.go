package emulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxControl bounds the body of a control request.
const maxControl = 1 << 20

// serveControl answers the requests of tests and scripts, which are not signed:
//
//	GET /-/requests   DELETE /-/requests   GET /-/bytes
//	GET /-/requests?reset=1  tells the counts and begins anew
//	GET /-/faults     POST /-/faults       DELETE /-/faults[/ID]
//	POST /-/sts       registers temporary credentials
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	name, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/-/"), "/")
	switch r.Method + " " + name {
	case "GET requests":
		counts := s.Requests()
		if r.URL.Query().Get("reset") != "" {
			s.ResetRequests()
		}
		answer(w, http.StatusOK, counts)
	case "DELETE requests":
		s.ResetRequests()
		w.WriteHeader(http.StatusNoContent)
	case "GET bytes":
		answer(w, http.StatusOK, s.Bytes())
	case "GET faults":
		answer(w, http.StatusOK, s.Faults())
	case "POST faults":
		s.postFault(w, r)
	case "DELETE faults":
		if id == "" {
			s.ClearFaults()
		} else {
			s.RemoveFault(id)
		}
		w.WriteHeader(http.StatusNoContent)
	case "POST sts":
		s.postSTS(w, r)
	default:
		answer(w, http.StatusNotFound, map[string]string{"error": "no such control"})
	}
}

func (s *Server) postFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if !decode(w, r, &f) {
		return
	}
	id, err := s.addFault(f)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	answer(w, http.StatusCreated, map[string]string{"id": id})
}

func (s *Server) postSTS(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID      string    `json:"access_key_id"`
		Secret  string    `json:"access_key_secret"`
		Token   string    `json:"security_token"`
		Expires time.Time `json:"expires"`
	}
	if !decode(w, r, &in) {
		return
	}
	if in.ID == "" || in.Secret == "" {
		answer(w, http.StatusBadRequest, map[string]string{"error": "access_key_id and access_key_secret are needed"})
		return
	}
	s.AddSTS(in.ID, in.Secret, in.Token, in.Expires)
	w.WriteHeader(http.StatusNoContent)
}

// decode reads a JSON body, strictly, or answers with what is wrong.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControl))
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// A client that went away needs no answer.
	_ = json.NewEncoder(w).Encode(v)
}
