package emulator

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// maxKMSPlaintext is the largest text that Encrypt takes, in bytes.
const maxKMSPlaintext = 6 << 10

// keyring holds the master keys of KMS.
type keyring struct {
	path string
	keep bool // save to path

	mu      sync.RWMutex // mu guards the fields below
	account account
}

// ensure makes the key with this id when it is not there, and saves the account.
func (k *keyring) ensure(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.account.KMSKeys[id]; !ok {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return fmt.Errorf("draw a KMS key: %w", err)
		}
		k.account.KMSKeys[id] = key
	}
	if !k.keep {
		return nil
	}
	data, err := json.MarshalIndent(k.account, "", "  ")
	if err != nil {
		return fmt.Errorf("encode emulator account: %w", err)
	}
	if err := writeFile(k.path, data); err != nil {
		return fmt.Errorf("save emulator account: %w", err)
	}
	return nil
}

// aead returns the cipher under a master key.
func (k *keyring) aead(id string) (cipher.AEAD, error) {
	k.mu.RLock()
	key, ok := k.account.KMSKeys[id]
	k.mu.RUnlock()
	if !ok {
		return nil, refuse(http.StatusNotFound, "Forbidden.KeyNotFound", "", "The specified Key is not found.")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("KMS key %q: %w", id, err)
	}
	return cipher.NewGCM(block)
}

// blobVersion begins every ciphertext blob.
const blobVersion = 1

// wrap encrypts text under a master key, bound to a context:
//
//	blob = base64( version:8 idLen:8 id nonce:96 AES-256-GCM(text, AAD = context) )
func (k *keyring) wrap(id string, text []byte, context string) (string, error) {
	gcm, err := k.aead(id)
	if err != nil {
		return "", err
	}
	if len(id) > 255 {
		return "", fmt.Errorf("KMS key id of %d bytes", len(id))
	}
	blob := append([]byte{blobVersion, byte(len(id))}, id...)
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("draw a nonce: %w", err)
	}
	blob = append(blob, nonce...)
	return base64.StdEncoding.EncodeToString(gcm.Seal(blob, nonce, text, []byte(context))), nil
}

// errCiphertext is one answer for every blob that cannot be opened, so that it tells nothing more.
func errCiphertext() *apiError {
	return refuse(http.StatusBadRequest, "InvalidCiphertext", "", "The specified CiphertextBlob is not valid, or its EncryptionContext is another one.")
}

// unwrap opens a blob made by wrap with the same context.
func (k *keyring) unwrap(text, context string) (plain []byte, id string, err error) {
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(blob) < 2 || blob[0] != blobVersion || len(blob) < 2+int(blob[1]) {
		return nil, "", errCiphertext()
	}
	id, blob = string(blob[2:2+int(blob[1])]), blob[2+int(blob[1]):]
	gcm, err := k.aead(id)
	if err != nil {
		var refusal *apiError
		if errors.As(err, &refusal) {
			err = errCiphertext()
		}
		return nil, "", err
	}
	if len(blob) < gcm.NonceSize() {
		return nil, "", errCiphertext()
	}
	plain, err = gcm.Open(nil, blob[:gcm.NonceSize()], blob[gcm.NonceSize():], []byte(context))
	if err != nil {
		return nil, "", errCiphertext()
	}
	return plain, id, nil
}

// context returns the EncryptionContext in one canonical form: it is compared as a map.
func (c *call) context() (string, error) {
	text := c.param("EncryptionContext")
	if text == "" {
		return "", nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return "", refuse(http.StatusBadRequest, "InvalidParameter", "", "The specified EncryptionContext is not a JSON object of strings.")
	}
	if len(m) == 0 {
		return "", nil
	}
	canonical, err := json.Marshal(m) // sorts the keys
	return string(canonical), err
}

func missing(name string) *apiError {
	return refuse(http.StatusBadRequest, "MissingParameter", "", "The parameter %s needed but no provided.", name)
}

func versionOf(id string) string { return md5Of(id) }

func (c *call) kmsGenerateDataKey() (kmsAnswer, error) {
	size := 32
	switch spec := c.param("KeySpec"); spec {
	case "", "AES_256":
	case "AES_128":
		size = 16
	default:
		return nil, refuse(http.StatusBadRequest, "InvalidParameter", "", "The specified KeySpec %q is not valid.", spec)
	}
	if text := c.param("NumberOfBytes"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1024 {
			return nil, refuse(http.StatusBadRequest, "InvalidParameter", "", "NumberOfBytes must be between 1 and 1024.")
		}
		size = n
	}
	key := make([]byte, size)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("draw a data key: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(key)
	answer, err := c.wrapText(text)
	if err == nil && c.op == "GenerateDataKey" {
		answer = append(answer, kmsField{"Plaintext", text})
	}
	return answer, err
}

func (c *call) wrapText(text string) (kmsAnswer, error) {
	id := c.param("KeyId")
	if id == "" {
		return nil, missing("KeyId")
	}
	context, err := c.context()
	if err != nil {
		return nil, err
	}
	blob, err := c.s.keys.wrap(id, []byte(text), context)
	if err != nil {
		return nil, err
	}
	return kmsAnswer{{"KeyId", id}, {"KeyVersionId", versionOf(id)}, {"CiphertextBlob", blob}}, nil
}

func (c *call) kmsEncrypt() (kmsAnswer, error) {
	text := c.param("Plaintext")
	if text == "" {
		return nil, missing("Plaintext")
	}
	if len(text) > maxKMSPlaintext {
		return nil, refuse(http.StatusBadRequest, "InvalidParameter", "", "The Plaintext is longer than %d bytes.", maxKMSPlaintext)
	}
	if c.s.opt.KMSPlaintext == Refuse {
		if _, err := base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return nil, refuse(http.StatusBadRequest, "InvalidParameter", "", "The specified Plaintext is not base64.")
		}
	}
	return c.wrapText(text)
}

func (c *call) kmsDecrypt() (kmsAnswer, error) {
	blob := c.param("CiphertextBlob")
	if blob == "" {
		return nil, missing("CiphertextBlob")
	}
	context, err := c.context()
	if err != nil {
		return nil, err
	}
	text, id, err := c.s.keys.unwrap(blob, context)
	if err != nil {
		return nil, err
	}
	return kmsAnswer{{"KeyId", id}, {"KeyVersionId", versionOf(id)}, {"Plaintext", string(text)}}, nil
}

func (c *call) describe1(id string) kmsAnswer {
	return kmsAnswer{{"KeyMetadata", kmsAnswer{
		{"KeyId", id}, {"KeyState", "Enabled"}, {"KeySpec", "Aliyun_AES_256"}, {"KeyUsage", "ENCRYPT/DECRYPT"},
		{"Origin", "Aliyun_KMS"}, {"ProtectionLevel", "SOFTWARE"}, {"PrimaryKeyVersion", versionOf(id)},
	}}}
}

func (c *call) kmsDescribeKey() (kmsAnswer, error) {
	id := c.param("KeyId")
	if id == "" {
		return nil, missing("KeyId")
	}
	if _, err := c.s.keys.aead(id); err != nil {
		return nil, err
	}
	return c.describe1(id), nil
}

func (c *call) kmsCreateKey() (kmsAnswer, error) {
	var raw [12]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, fmt.Errorf("draw a key id: %w", err)
	}
	id := "key-" + hex.EncodeToString(raw[:])
	if err := c.s.keys.ensure(id); err != nil {
		return nil, err
	}
	return c.describe1(id), nil
}

func (c *call) kmsListKeys() (kmsAnswer, error) {
	c.s.keys.mu.RLock()
	ids := sortedKeys(c.s.keys.account.KMSKeys)
	c.s.keys.mu.RUnlock()
	var list []map[string]string
	for _, id := range ids {
		list = append(list, map[string]string{"KeyId": id})
	}
	if !strings.EqualFold(c.param("Format"), "JSON") {
		var sub kmsAnswer
		for _, id := range ids {
			sub = append(sub, kmsField{"Key", kmsAnswer{{"KeyId", id}}})
		}
		return kmsAnswer{{"TotalCount", len(ids)}, {"Keys", sub}}, nil
	}
	return kmsAnswer{{"TotalCount", len(ids)}, {"Keys", map[string]any{"Key": list}}}, nil
}
