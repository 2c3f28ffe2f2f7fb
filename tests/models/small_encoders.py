"""Small configs of encoders, encoder-decoders and what sees or hears, by family.

Each has a case in which all is as usual, and others that turn what may change the weights.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

Case = dict[str, Any]
IDS: Case = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
BERT: Case = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 64, "max_position_embeddings": 40, **IDS,
}  # fmt: skip
BART: Case = {
    "vocab_size": 99, "d_model": 32, "encoder_layers": 2, "decoder_layers": 3,
    "encoder_attention_heads": 4, "decoder_attention_heads": 2, "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 64, "max_position_embeddings": 40, "decoder_start_token_id": 2, **IDS,
}  # fmt: skip
T5: Case = {
    "vocab_size": 99, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2,
    "num_decoder_layers": 3, "num_heads": 4, "relative_attention_num_buckets": 8,
    "decoder_start_token_id": 2, **IDS,
}  # fmt: skip
VIT: Case = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
WAVE: Case = {
    "vocab_size": 30, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "conv_dim": [16, 24], "conv_kernel": [10, 3], "conv_stride": [5, 2],
    "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
XLM: Case = {
    "vocab_size": 99, "emb_dim": 32, "n_layers": 2, "n_heads": 4, "max_position_embeddings": 40,
    **IDS,
}  # fmt: skip
FREE: Case = {"tie_word_embeddings": False}
DECODER: Case = {"is_decoder": True}


def less(case: Case, *names: str) -> Case:
    return {key: value for key, value in case.items() if key not in names}


def cases() -> Iterator[tuple[str, Case]]:
    """Family and config, many a family."""
    for table in (masked(), pairs(), seen(), heard()):
        for family, configs in table.items():
            yield from ((family, config) for config in configs)


def masked() -> dict[str, list[Case]]:
    usual = (
        "bert roberta xlm-roberta camembert data2vec-text megatron-bert roberta-prelayernorm"
        " xlm-roberta-xl ernie ibert layoutlm mpnet big_bird roformer gte nomic_bert"
        " jina_embeddings_v3 eurobert fnet nystromformer deberta deberta-v2 longformer squeezebert"
        " modernbert rembert roc_bert bert-generation splinter visual_bert markuplm dpr tapas"
    )
    more: dict[str, list[Case]] = {
        "bert": [{"type_vocab_size": 5}, DECODER],
        "roberta": [DECODER],
        "electra": [{"embedding_size": 16}, {"embedding_size": 32},
                    {"embedding_size": 16, **FREE}, {"embedding_size": 16, **DECODER}],
        "roformer": [{"embedding_size": 16}, DECODER],
        "albert": [{"embedding_size": 16}, {"embedding_size": 32}, {"embedding_size": 16, **FREE},
                   {"embedding_size": 16, "num_hidden_groups": 2, "num_hidden_layers": 5,
                    "inner_group_num": 2}],
        "esm": [{"position_embedding_type": kind, "emb_layer_norm_before": normed, **free}
                for kind, normed, free in product(("rotary", "absolute"), (True, False),
                                                  ({}, FREE))],
        "esmc": [{"head_dim": 8, "num_key_value_heads": 4},
                 {"num_key_value_heads": 4, "head_dim": 8, "attention_bias": True,
                  "mlp_bias": True}],
        "modernbert": [{"norm_bias": True, "attention_bias": True, "mlp_bias": True,
                        "classifier_bias": True, "decoder_bias": False},
                       {"global_attn_every_n_layers": 2}],
        "nystromformer": [{"num_landmarks": 8, "segment_means_seq_len": 8}],
        "big_bird": [{"attention_type": "original_full"}, {"use_bias": False}],
        "xmod": [{"languages": ["a", "b"], "adapter_layer_norm": normed, "pre_norm": before,
                  "adapter_reduction_factor": factor}
                 for normed, before, factor in product((True, False), (True, False), (2, 4))],
        "tapas": [{"type_vocab_sizes": [3, 4]}],
        "luke": [{"entity_emb_size": 16, "entity_vocab_size": 50},
                 {"entity_emb_size": 32, "entity_vocab_size": 50,
                  "use_entity_aware_attention": False}],
        "ernie": [{"use_task_id": True}],
        "deberta": [{"type_vocab_size": 3, "position_biased_input": False}],
        "deberta-v2": [{"type_vocab_size": 3, "position_biased_input": False}],
        "longformer": [{"attention_window": [4, 8, 4]}],
        "squeezebert": [{"embedding_size": 32, "q_groups": 2, "post_attention_groups": 4,
                         "output_groups": 1}],
        "eurobert": [{"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True,
                      "head_dim": 8}],
        "ultrabert": [{"head_dim": 8, "prediction_head_size": 12, "num_key_value_heads": 2,
                       "layer_types": ["sliding_attention", "full_attention"] * 2,
                       "num_hidden_layers": 4}],
        "rembert": [{"input_embedding_size": 16, "output_embedding_size": 48}, DECODER],
        "roc_bert": [{"enable_shape": False},
                     {"pronunciation_embed_dim": 8, "shape_embed_dim": 6,
                      "pronunciation_vocab_size": 9, "shape_vocab_size": 11}],
        "layoutlmv3": [{"coordinate_size": 8, "shape_size": 8, "input_size": 32, "patch_size": 8}],
        "clip_text_model": [{}],
    }  # fmt: skip
    found: dict[str, list[Case]] = {name: [BERT, BERT | FREE] for name in usual.split()}
    found["squeezebert"] = [BERT | {"embedding_size": 32}]
    for family, changes in more.items():
        found.setdefault(family, []).extend(BERT | change for change in changes)
    found["distilbert"] = [
        {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48,
         "max_position_embeddings": 40, "pad_token_id": 1, **change}
        for change in ({}, FREE, {"sinusoidal_pos_embds": True})
    ]  # fmt: skip
    found["mobilebert"] = [
        {"vocab_size": 99, "hidden_size": 64, "intra_bottleneck_size": 32, "embedding_size": 16,
         "intermediate_size": 40, "num_hidden_layers": 2, "num_feedforward_networks": 3,
         "num_attention_heads": 4, "max_position_embeddings": 40, "true_hidden_size": 32}
    ]  # fmt: skip
    languages: list[Case] = [
        {}, {"n_langs": 3}, {"n_langs": 3, "use_lang_emb": False}, {"causal": True}, FREE,
    ]  # fmt: skip
    found["xlm"] = [XLM | change for change in languages]
    found["flaubert"] = [XLM | change for change in ({}, {"n_langs": 3}, {"pre_norm": True})]
    found["reformer"] = [
        {"vocab_size": 99, "hidden_size": 32, "is_decoder": True, "num_attention_heads": 2,
         "attn_layers": ["local", "lsh", "local"], "attention_head_size": 24, "num_hashes": 2,
         "feed_forward_size": 48, "axial_pos_embds": axial, "axial_pos_shape": [4, 8],
         "axial_pos_embds_dim": [8, 24], "max_position_embeddings": 32, **tied}
        for axial, tied in product((True, False), ({}, {"tie_word_embeddings": True}))
    ]  # fmt: skip
    return found


def pairs() -> dict[str, list[Case]]:
    usual = "bart plbart mbart pegasus m2m_100 blenderbot blenderbot-small mvp marian"
    found: dict[str, list[Case]] = {name: [BART, BART | FREE] for name in usual.split()}
    found["bigbird_pegasus"] = [
        BART | change
        for change in ({}, FREE, {"use_bias": True}, {"attention_type": "original_full"})
    ]
    placed = less(BART, "max_position_embeddings")
    found["led"] = [placed | {"max_encoder_position_embeddings": 64, "attention_window": 4,
                              "max_decoder_position_embeddings": 32}]  # fmt: skip
    words = {"src_vocab_size": 50, "tgt_vocab_size": 60, "langs": ["a", "b"]}
    found["fsmt"] = [less(BART, "vocab_size") | words]
    sparse: list[Case] = [
        {"encoder_sparse_step": 2, "decoder_sparse_step": 3},
        {"encoder_sparse_step": 0, "decoder_sparse_step": 1, "router_bias": True},
    ]
    found["nllb-moe"] = [BART | {"num_experts": 4} | steps for steps in sparse]
    for family in ("t5", "mt5", "umt5", "longt5", "pop2piano"):
        found[family] = [T5, T5 | {"feed_forward_proj": "gated-gelu"},
                         less(T5, "num_decoder_layers")]  # fmt: skip
    found["switch_transformers"] = [
        T5 | {"num_layers": 4, "num_decoder_layers": 6, "num_sparse_encoder_layers": 2,
              "num_sparse_decoder_layers": many, "num_experts": 4, "router_bias": bias}
        for many, bias in product((0, 1, 3, 6), (True, False))
    ]  # fmt: skip
    found["udop"] = [T5 | {"max_2d_position_embeddings": 16, "patch_size": 4, "image_size": 16}]
    found["trocr"] = [
        less(BART, "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim") | change
        for change in ({}, {"cross_attention_hidden_size": 48}, FREE,
                       {"use_learned_position_embeddings": False, "layernorm_embedding": False})
    ]  # fmt: skip
    return found


def seen() -> dict[str, list[Case]]:
    usual = (
        "vit vit_msn deit ijepa clip_vision_model chinese_clip_vision_model siglip_vision_model"
        " pixtral aimv2_vision_model beit data2vec-vision dinov3_vit vit_mae videomae"
        " mlcd_vision_model idefics3_vision"
    )
    found: dict[str, list[Case]] = {name: [VIT] for name in usual.split()}
    for family in ("vit", "vit_msn", "deit", "ijepa"):
        changes: list[Case] = [{"qkv_bias": False}, {"image_size": [32, 16]}, {"num_labels": 7}]
        found[family] += [VIT | change for change in changes]
    relative: list[Case] = [
        {"use_relative_position_bias": True, "use_mask_token": True},
        {"use_shared_relative_position_bias": True, "use_absolute_position_embeddings": True,
         "layer_scale_init_value": 0.0, "use_mean_pooling": False},
    ]  # fmt: skip
    for family in ("beit", "data2vec-vision"):
        found[family] += [VIT | change for change in relative]
    dino = less(VIT, "intermediate_size")
    found["dinov2"] = [dino, dino | {"use_swiglu_ffn": True}, dino | {"use_mask_token": False},
                       dino | {"mlp_ratio": 2, "qkv_bias": False}]  # fmt: skip
    found["dinov2_with_registers"] = [dino, dino | {"num_register_tokens": 2}]
    found["pixio"] = [dino, dino | {"n_cls_tokens": 3}]
    found["vitdet"] = [dino]
    found["tipsv2_vision_model"] = [dino]
    gated = {"use_gated_mlp": True, "num_register_tokens": 3, "key_bias": True, "proj_bias": False}
    found["dinov3_vit"] += [VIT | gated, VIT | {"mlp_bias": False}]
    found["siglip_vision_model"] += [VIT | {"vision_use_head": False}]
    found["siglip2_vision_model"] = [less(VIT, "image_size") | {"num_patches": 16}]
    found["aimv2_vision_model"] += [VIT | {"qkv_bias": True, "mlp_bias": True},
                                    VIT | {"use_head": False}]  # fmt: skip
    found["vivit"] = [less(VIT, "patch_size") | {"tubelet_size": [2, 8, 8], "num_frames": 4}]
    oblong: Case = {"num_detection_tokens": 5, "image_size": [32, 16]}
    found["yolos"] = [VIT | oblong, VIT | oblong | {"use_mid_position_embeddings": False}]
    return found


def heard() -> dict[str, list[Case]]:
    usual = "wav2vec2 hubert unispeech unispeech-sat wavlm sew data2vec-audio"
    plain: Case = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    found: dict[str, list[Case]] = {
        name: [WAVE, WAVE | {"conv_bias": True}, WAVE | plain] for name in usual.split()
    }
    layered: Case = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}
    for family in ("wav2vec2", "hubert", "unispeech", "wavlm"):
        found[family].append(WAVE | layered)
    found["hubert"].append(WAVE | {"feat_proj_layer_norm": False})
    placed = less(BART, "max_position_embeddings") | {"max_target_positions": 16}
    hears: Case = {"max_source_positions": 20, "num_mel_bins": 8}
    found["whisper"] = [placed | hears, placed | hears | FREE]
    found["speech_to_text"] = [
        placed | {"conv_channels": 16, "input_feat_per_channel": 8, "conv_kernel_sizes": [5, 3, 3],
                  "num_conv_layers": 3, "max_source_positions": 20}
    ]  # fmt: skip
    found["moonshine"] = [
        {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 48, **IDS,
         "encoder_num_hidden_layers": 2, "decoder_num_hidden_layers": 3,
         "encoder_num_attention_heads": 4, "decoder_num_attention_heads": 4,
         "encoder_num_key_value_heads": heads, "decoder_num_key_value_heads": heads,
         "attention_bias": bias}
        for heads, bias in ((4, False), (2, False), (4, True))
    ]  # fmt: skip
    sizes: Case = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
                   "intermediate_size": 48, "num_mel_bins": 8}  # fmt: skip
    found["audioflamingo3_encoder"] = [sizes | {"max_source_positions": 20}]
    found["voxtral_encoder"] = [sizes | {"max_source_positions": 20}]
    found["glmasr_encoder"] = [sizes]
    found["audio-spectrogram-transformer"] = [
        less(VIT, "image_size") | {"max_length": 50, "num_mel_bins": 24, "frequency_stride": 4,
                                   "time_stride": 5}
    ]  # fmt: skip
    return found
