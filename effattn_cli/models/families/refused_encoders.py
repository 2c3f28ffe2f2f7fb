"""Encoders, encoder-decoders and nested models that cannot be read, each with the reason."""

from collections.abc import Iterator, Mapping

_STAGES = "its stages differ in width and in the number of patches, which one width does not say"
_CONVOLUTIONS = "it is made of convolutions: there is no attention to choose"
_CONFORMER = "convolutions within its layers, and scores that follow distances, are not recorded"
_TWO = "encoders of text and of pictures or sounds stand side by side: give the config of one"
_PAIR = "it is made of two models with configs of their own: give the config of one of them"
_MEMORY = "its layers attend to a memory of pictures besides, whose length nobody says"
_CODEC = "it makes sounds from codes by several networks, of which no single one is the model"
_TASK = "it finds objects or outlines by maps of several sizes, which a list of layers does not say"
_PART = "it is a part of a larger model and is read with it: give the config of the whole"
_SERIES = "it predicts series of numbers: its length is counted in patches that it makes itself"

#: By `model_type`, several of one reason together.
_GROUPS: Mapping[str, str] = {
    _STAGES: "swin swinv2 donut-swin maskformer-swin swin2sr dinat hiera pvt pvt_v2 segformer cvt"
    " levit mobilevit mobilevitv2 poolformer focalnet swiftformer glpn florence_vision",
    _CONVOLUTIONS: "bit convnext convnextv2 dinov3_convnext efficientnet hgnet_v2 mobilenet_v1"
    " mobilenet_v2 regnet resnet textnet pp_lcnet superpoint univnet timm_wrapper timm_backbone",
    _CONFORMER: "wav2vec2-conformer wav2vec2-bert parakeet_ctc parakeet_encoder parakeet_rnnt"
    " parakeet_tdt lasr_ctc lasr_encoder granite_speech5_ctc granite_speech5_encoder"
    " fastspeech2_conformer fastspeech2_conformer_with_hifigan seamless_m4t seamless_m4t_v2 canary"
    " cohere_asr nemotron_asr_streaming nemotron_asr_streaming_encoder nemotron3_5_asr"
    " gemma3n_audio gemma4_audio muse_spark_audio",
    _TWO: "clip siglip siglip2 altclip chinese_clip clipseg metaclip_2 align aimv2 clap groupvit"
    " owlvit owlv2 xclip tipsv2 flava videoprism vision-text-dual-encoder bridgetower",
    _PAIR: "encoder-decoder vision-encoder-decoder speech-encoder-decoder rag musicgen"
    " musicgen_melody colpali colqwen2 pi0",
    _MEMORY: "mllama mllama_text_model idefics evolla blip",
    _CODEC: "bark csm dac encodec mimi moshi univnet vits xcodec xcodec2 clvp higgs_audio_v2"
    " kyutai_speech_to_text vibevoice_acoustic_tokenizer pocket_tts neucodec wavtokenizer",
    _TASK: "conditional_detr d_fine dab-detr deformable_detr deimv2 detr grounding-dino lw_detr"
    " mask2former maskformer mm-grounding-dino omdet-turbo oneformer rf_detr rt_detr rt_detr_v2"
    " table-transformer sam sam2 sam3 sam_hq edgetam seggpt"
    " edgetam_video edgetam_vision_model pp_doclayout_v3 pp_doclayout_v4 sam2_hiera_det_model"
    " sam2_video sam2_vision_model sam3_tracker sam3_tracker_video sam3_video sam3_vision_model"
    " sam3_vit_model sam_hq_vision_model sam_vision_model depth_pro dpt",
    _PART: "blip_2_qformer cohere_compass_vision cosmos3_edge_vision exaone4_5_vision"
    " fun_asr_nano_encoder gemma3n_vision gemma4_vision glm4v_moe_vision glm4v_vision"
    " glm5_next_vision glm_image_vision glm_ocr_vision granite_docling_vision hunyuan_vl_vision"
    " hy_v4_vl_vision inkling2_vision internvl_vision kimi_k25_vision lfm3_vl_vision"
    " minicpm_ocr_vision minicpmv4_7_vision muse_glimmer_vision muse_spark_vision omniasr_audio"
    " qianfan_ocr_vision qwen2_vl_vision qwen2_5_vl_vision qwen3_5_moe_vision qwen3_5_vision"
    " qwen3_asr_encoder qwen3_vl_moe_vision qwen3_vl_vision qwen4_exp_vision"
    " voxtral_realtime_encoder",
    _SERIES: "autoformer informer patchtsmixer patchtst time_series_transformer timesfm timesfm2_5",
}
_EACH: Mapping[str, str] = {
    "bros": "its scores add products with the places of boxes, which is not in the catalogue",
    "canine": "it runs on characters, then on fewer positions: a list of layers has one length",
    "charformer": "it runs on fewer positions than it reads: a list of layers has one length",
    "convbert": "half of its heads are convolutions whose kernels follow the token, which is not in"
    " the catalogue",
    "dia": "its two stacks differ in width, which one width does not say",
    "funnel": "its blocks run on pooled tokens: a list of layers has one length",
    "layoutlmv2": "pictures go through a convolutional network of another library",
    "lilt": "two streams share their scores, which is not in the catalogue",
    "lxmert": "it attends from text to pictures and back, which a list of layers does not say",
    "mra": "its attention is refined block by block, which is not in the catalogue",
    "neomme": "its attention leaves out what is along a token's own value, which is not in the"
    " catalogue",
    "openai_privacy_filter": "its heads have sinks though tokens see both ways, which is not in the"
    " catalogue",
    "pegasus_x": "global tokens have a stream of their own beside blocks, which is not in the"
    " catalogue",
    "perceiver": "its layers run on latents, and what it reads depends on what it is built for",
    "prophetnet": "it predicts several tokens in streams of their own, which is not in the"
    " catalogue",
    "sew-d": "its scores have products with positions of their own, which is not in the catalogue",
    "speecht5": "its scores have products with distances, which is not in the catalogue",
    "t5gemma2": "its decoder attends to itself and to the source at once, which is not in the"
    " catalogue",
    "timesformer": "layers attend over time and over space in turn, which is not in the catalogue",
    "voxtral_realtime": "its language model's layers are scaled by what is computed of the delay",
    "xlnet": "it attends to a memory in both directions, by distances, which is not in the"
    " catalogue",
    "yoso": "its attention samples by hashes that meet, which is not in the catalogue",
}


def _pairs() -> Iterator[tuple[str, str]]:
    yield from _EACH.items()
    for why, names in _GROUPS.items():
        yield from ((name, why) for name in names.split())


REFUSED: Mapping[str, str] = dict(_pairs())
