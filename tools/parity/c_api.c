/* Runs one signature of a SavedModel through TensorFlow's C API, without Python.
 *
 *   c_api EXPORT in:OP:INDEX:TYPE:DIMS:FILE ... out:OP:INDEX:FILE ...
 *
 * OP and INDEX are the graph's tensor behind a name of the signature, as saved_model_cli show tells
 * them; TYPE is uint8, int32, float or string; DIMS are numbers with commas between them. A file
 * holds the plain numbers of a tensor in the machine's byte order, row by row. Strings are stored
 * one after the other, each behind its length of 8 bytes.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/core/platform/ctstring.h"

enum { MOST = 16, MOST_DIMS = 8 };

static void stop(const char* what, const char* why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) stop(what, TF_Message(status));
}

/* Reads a whole file; the caller frees it. */
static char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) stop(path, "cannot be read");
  long length = ftell(file);
  rewind(file);
  char* bytes = malloc(length > 0 ? (size_t)length : 1);
  if (length < 0 || !bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length) {
    stop(path, "cannot be read");
  }
  fclose(file);
  *size = (size_t)length;
  return bytes;
}

static void write_file(const char* path, const void* bytes, size_t size) {
  FILE* file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
    stop(path, "cannot be written");
  }
}

static TF_DataType type_of(const char* name) {
  if (!strcmp(name, "uint8")) return TF_UINT8;
  if (!strcmp(name, "int32")) return TF_INT32;
  if (!strcmp(name, "float")) return TF_FLOAT;
  if (!strcmp(name, "string")) return TF_STRING;
  stop(name, "is no type known here");
  return TF_FLOAT;
}

/* The next field of an argument, up to ':' or its end. */
static char* field(char** rest, const char* what) {
  char* found = *rest ? strsep(rest, ":") : NULL;
  if (!found || !*found) stop(what, "a field is missing; see the head of c_api.c");
  return found;
}

static TF_Output tensor_at(TF_Graph* graph, char** rest, const char* what) {
  char* name = field(rest, what);
  TF_Output output = {TF_GraphOperationByName(graph, name), atoi(field(rest, what))};
  if (!output.oper) stop(name, "no such operation in the graph");
  return output;
}

/* Fills a tensor of strings from lengths and bytes. */
static void fill_strings(TF_Tensor* tensor, const char* bytes, size_t size, const char* path) {
  TF_TString* strings = TF_TensorData(tensor);
  size_t at = 0;
  for (int64_t k = 0; k < TF_TensorElementCount(tensor); ++k) {
    uint64_t length;
    if (size - at < sizeof length) stop(path, "is too short");
    memcpy(&length, bytes + at, sizeof length);
    at += sizeof length;
    if (size - at < length) stop(path, "is too short");
    TF_TString_Init(&strings[k]);
    TF_TString_Copy(&strings[k], bytes + at, length);
    at += length;
  }
}

/* Reads the rest of an `in:` argument, TYPE:DIMS:FILE, as a tensor. */
static TF_Tensor* read_tensor(char** rest, const char* what) {
  TF_DataType type = type_of(field(rest, what));
  char* sizes = field(rest, what);
  const char* path = field(rest, what);
  int64_t dims[MOST_DIMS];
  int rank = 0;
  size_t elements = 1, size;
  for (char* part; (part = strsep(&sizes, ",")); elements *= (size_t)dims[rank++]) {
    if (rank == MOST_DIMS) stop(what, "has too many dimensions");
    dims[rank] = atoll(part);
  }
  char* bytes = read_file(path, &size);
  size_t each = type == TF_STRING ? sizeof(TF_TString) : TF_DataTypeSize(type);
  TF_Tensor* tensor = TF_AllocateTensor(type, dims, rank, elements * each);
  if (type == TF_STRING) {
    fill_strings(tensor, bytes, size, path);
  } else {
    if (size != elements * each) stop(path, "has another size than its tensor");
    memcpy(TF_TensorData(tensor), bytes, size);
  }
  free(bytes);
  return tensor;
}

int main(int count, char** arguments) {
  if (count < 4) stop("usage", "c_api EXPORT in:OP:INDEX:TYPE:DIMS:FILE out:OP:INDEX:FILE");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, arguments[1], tags, 1, graph,
                                                     NULL, status);
  check(status, arguments[1]);

  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *given[MOST], *answers[MOST];
  const char* files[MOST];
  int n_inputs = 0, n_outputs = 0;
  for (int k = 2; k < count; ++k) {
    char* rest = arguments[k];
    const char* side = field(&rest, "argument");
    if (n_inputs == MOST || n_outputs == MOST) stop(side, "too many tensors");
    if (!strcmp(side, "in")) {
      inputs[n_inputs] = tensor_at(graph, &rest, side);
      given[n_inputs++] = read_tensor(&rest, side);
    } else if (!strcmp(side, "out")) {
      outputs[n_outputs] = tensor_at(graph, &rest, side);
      files[n_outputs++] = field(&rest, side);
    } else {
      stop(side, "is neither in nor out");
    }
  }

  TF_SessionRun(session, NULL, inputs, given, n_inputs, outputs, answers, n_outputs, NULL, 0, NULL,
                status);
  check(status, "run");
  for (int k = 0; k < n_outputs; ++k) {
    write_file(files[k], TF_TensorData(answers[k]), TF_TensorByteSize(answers[k]));
    TF_DeleteTensor(answers[k]);
  }
  for (int k = 0; k < n_inputs; ++k) TF_DeleteTensor(given[k]);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
